-- The collations that columns and indexes use, each with its version when it was made and the version that the system's libraries have now.
SELECT n.nspname::text AS schema,
       c.collname::text AS name,
       coalesce(c.collversion, '') AS version,
       coalesce(pg_catalog.pg_collation_actual_version(c.oid), '') AS actual
FROM pg_catalog.pg_collation c
JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace
WHERE c.collname NOT IN ('default', 'C', 'POSIX')
  AND c.oid IN (SELECT a.attcollation FROM pg_catalog.pg_attribute a
                JOIN pg_catalog.pg_class r ON r.oid = a.attrelid
                JOIN pg_catalog.pg_namespace s ON s.oid = r.relnamespace
                WHERE a.attcollation <> 0 AND NOT a.attisdropped
                  AND s.nspname !~ '^pg_' AND s.nspname <> 'information_schema')
ORDER BY n.nspname COLLATE "C", c.collname COLLATE "C"
