-- The statement that prevents other sessions from writing to and from altering any table, while reads go on; NULL if there are no tables.
SELECT 'LOCK TABLE ' || pg_catalog.string_agg(pg_catalog.format('ONLY %I.%I', n.nspname, c.relname), ', ' ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C")
       || ' IN EXCLUSIVE MODE' AS statement
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p')
  AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
