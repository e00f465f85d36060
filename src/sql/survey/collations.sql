-- The collations that this database can use, with their versions as in used_collations.
SELECT n.nspname::text AS schema,
       c.collname::text AS name,
       coalesce(c.collversion, '') AS version,
       coalesce(pg_catalog.pg_collation_actual_version(c.oid), '') AS actual
FROM pg_catalog.pg_collation c
JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace
JOIN pg_catalog.pg_database d ON d.datname = current_database() AND c.collencoding IN (-1, d.encoding)
ORDER BY n.nspname COLLATE "C", c.collname COLLATE "C"
