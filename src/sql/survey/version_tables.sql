-- The tables in which alembic may keep its revision, found by their column, because the name is configurable in alembic (version_table).
SELECT n.nspname::text AS schema,
       c.relname::text AS name,
       (SELECT count(*) FROM pg_catalog.pg_attribute b
        WHERE b.attrelid = c.oid AND b.attnum > 0 AND NOT b.attisdropped) = 1 AS is_only_column,
       pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT') AS may_select
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = 'version_num' AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p')
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
