-- The expression of a column's default ($1).
SELECT 'relation' AS part, ''::text AS name, 'expression' AS property, NULL::text AS fact, pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS expression,
       d.adrelid::pg_catalog.regclass::text AS scope
FROM pg_catalog.pg_attrdef d WHERE d.oid = $1 AND ($2 OR NOT $2)
