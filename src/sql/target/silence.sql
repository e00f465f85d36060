-- The statements that disable the triggers of $1, a quoted and qualified name, and of its partitions, and that restore their present state.
SELECT pg_catalog.format('ALTER TABLE ONLY %I.%I DISABLE TRIGGER %I', n.nspname, c.relname, t.tgname) AS off,
       pg_catalog.format('ALTER TABLE ONLY %I.%I ENABLE %s %I', n.nspname, c.relname,
                         CASE t.tgenabled WHEN 'A' THEN 'ALWAYS TRIGGER' ELSE 'TRIGGER' END, t.tgname) AS back
FROM pg_catalog.pg_trigger t
JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE (NOT t.tgisinternal OR t.tgparentid <> 0 AND t.tgconstraint = 0) AND t.tgenabled IN ('O', 'A')
  AND (c.oid = pg_catalog.to_regclass($1)
       OR c.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree(pg_catalog.to_regclass($1))))
ORDER BY 1
