-- Whether the database holds nothing but what initdb makes and a ledger in the schema $1.
SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_namespace n
                   WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'public', $1))
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                   WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
                     AND NOT (n.nspname = $1 AND c.relname ~ '^migration_(run|task|snapshot|foreign_key|plan|procedure|due)'))
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
                   WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema')
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
                   WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', $1))
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname <> 'plpgsql')
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_event_trigger)
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_publication)
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata)
