-- Objects that exist but cannot be relied on: indexes that queries do not use, constraints whose rows were not checked, materialized views
-- that were never filled.
SELECT 'index' AS kind, n.nspname::text AS schema, t.relname::text AS relation, i.relname::text AS name
FROM pg_catalog.pg_index x
JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
JOIN pg_catalog.pg_class t ON t.oid = x.indrelid
JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
WHERE NOT (x.indisvalid AND x.indisready)
UNION ALL
SELECT 'constraint', n.nspname::text, t.relname::text, c.conname::text
FROM pg_catalog.pg_constraint c
JOIN pg_catalog.pg_class t ON t.oid = c.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
WHERE NOT c.convalidated
UNION ALL
SELECT 'view', n.nspname::text, c.relname::text, c.relname::text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'm' AND NOT c.relispopulated
ORDER BY 1, 2, 3, 4
