-- The last value of each sequence; NULL before the first call of nextval, and if the role may not read it.
-- $1: the schema of the ledger, whose sequences are left out.
SELECT c.oid AS oid,
       n.nspname::text AS schema,
       c.relname::text AS name,
       CASE WHEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT, USAGE') THEN pg_catalog.pg_sequence_last_value(c.oid) END AS value
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'S'
  AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT (n.nspname = $1 AND c.relname ~ '^migration_')
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
