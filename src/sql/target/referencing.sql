-- Tables outside the given ones that reference one of them, each with the table that it references.
-- $1: the quoted names of tables.
WITH given AS (SELECT pg_catalog.to_regclass(name)::pg_catalog.oid AS oid FROM unnest($1::pg_catalog.text[]) AS name)
SELECT DISTINCT k.conrelid::pg_catalog.regclass::pg_catalog.text AS child, k.confrelid::pg_catalog.regclass::pg_catalog.text AS referenced
FROM pg_catalog.pg_constraint k
WHERE k.contype = 'f' AND k.confrelid IN (SELECT oid FROM given) AND k.conrelid NOT IN (SELECT oid FROM given)
ORDER BY 1, 2
