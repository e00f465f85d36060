-- Locked tables that no longer match what this transaction's snapshot contains, each with the kind of change. Queries read the catalog in
-- the snapshot, the functions read it as it is now: TRUNCATE, ALTER TABLE and the like are not MVCC-safe
-- (https://www.postgresql.org/docs/current/mvcc-caveats.html). A column's catalog row has no xmax if no transaction has replaced it since.
-- psql sets the tables with  -v schemas="ARRAY['public']" -v names="ARRAY['t']".
SELECT found.schema, found.name, found.change
FROM (SELECT w.schema, w.name,
             CASE WHEN c.oid IS NULL THEN 'absent'
                  WHEN pg_catalog.to_regclass(pg_catalog.format('%I.%I', w.schema, w.name)) IS DISTINCT FROM c.oid THEN 'replaced'
                  WHEN pg_catalog.pg_relation_filenode(c.oid) IS DISTINCT FROM nullif(c.relfilenode, 0) THEN 'rewritten'
                  WHEN EXISTS (SELECT FROM pg_catalog.pg_attribute a,
                                    LATERAL pg_catalog.pg_identify_object_as_address('pg_catalog.pg_class'::regclass, c.oid, a.attnum) now
                               WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.xmax::text <> '0'
                                 AND now.object_names[3] IS DISTINCT FROM a.attname::text) THEN 'columns'
             END AS change
      FROM ROWS FROM (unnest(:schemas::text[]), unnest(:names::text[])) w(schema, name)
      -- An index lookup for each table: OFFSET prevents the planner from joining with the whole of pg_class, because a run often executes
      -- this query for a few of many tables.
      LEFT JOIN LATERAL (SELECT k.oid, k.relfilenode FROM pg_catalog.pg_class k
                         WHERE k.relname = w.name
                           AND k.relnamespace = (SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = w.schema)
                         OFFSET 0) c ON true) found
WHERE found.change IS NOT NULL
