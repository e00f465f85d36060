-- Whether the database holds nothing but what initdb makes and a ledger in the schema $1.
SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_namespace n
                   WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'public')
                     -- A schema that a user made counts, although the ledger is in it.
                     AND NOT (n.nspname = $1 AND pg_catalog.obj_description(n.oid, 'pg_namespace') IS NOT DISTINCT FROM 'ledger of pgmigrate'))
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
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d ON d.oid = s.subdbid
                   WHERE d.datname = pg_catalog.current_database())
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_foreign_data_wrapper)
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_transform)
   -- initdb makes some of these, with lower OIDs.
   AND NOT EXISTS (SELECT FROM (SELECT oid FROM pg_catalog.pg_am
                                UNION ALL SELECT oid FROM pg_catalog.pg_cast
                                UNION ALL SELECT oid FROM pg_catalog.pg_collation
                                UNION ALL SELECT oid FROM pg_catalog.pg_conversion
                                UNION ALL SELECT oid FROM pg_catalog.pg_language WHERE lanname <> 'plpgsql'
                                UNION ALL SELECT oid FROM pg_catalog.pg_operator
                                UNION ALL SELECT oid FROM pg_catalog.pg_opclass
                                UNION ALL SELECT oid FROM pg_catalog.pg_opfamily
                                UNION ALL SELECT oid FROM pg_catalog.pg_ts_config
                                UNION ALL SELECT oid FROM pg_catalog.pg_ts_dict
                                UNION ALL SELECT oid FROM pg_catalog.pg_ts_parser
                                UNION ALL SELECT oid FROM pg_catalog.pg_ts_template) made
                   WHERE made.oid >= 16384)
