-- The counters of the statistics for each table, as in writes.sql, and what shows that they were lost or a table was rewritten.
-- $1: the schema of the ledger, whose tables are left out.
SELECT c.oid AS oid,
       n.nspname::text AS schema,
       c.relname::text AS name,
       pg_catalog.pg_relation_filenode(c.oid)::int8 AS file,
       pg_catalog.pg_stat_get_tuples_inserted(c.oid) AS inserted,
       pg_catalog.pg_stat_get_tuples_updated(c.oid) AS updated,
       pg_catalog.pg_stat_get_tuples_deleted(c.oid) AS deleted
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r'
  AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT (n.nspname = $1 AND c.relname ~ '^migration_(run|task|snapshot|foreign_key|plan|procedure|due)$')
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
