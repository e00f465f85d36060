-- The properties of an index ($1), with its tablespace if it is to be compared ($2); those of its columns under the number of each. Another
-- query checks whether it is valid. Columns that older catalogs lack are read through JSON.
SELECT 'relation' AS part, ''::text AS name, p.property, p.fact, p.expression, x.indrelid::pg_catalog.regclass::text AS scope
FROM pg_catalog.pg_index x
JOIN pg_catalog.pg_class c ON c.oid = x.indexrelid
CROSS JOIN LATERAL (VALUES
    ('table', x.indrelid::pg_catalog.regclass::text, NULL),
    ('UNIQUE', x.indisunique::text, NULL),
    ('NULLS NOT DISTINCT', coalesce(to_jsonb(x.*) ->> 'indnullsnotdistinct', 'false'), NULL),
    ('CLUSTER', x.indisclustered::text, NULL),
    ('replica identity', x.indisreplident::text, NULL),
    ('access method', (SELECT am.amname::text FROM pg_catalog.pg_am am WHERE am.oid = c.relam), NULL),
    ('options', (SELECT string_agg(o, ',' ORDER BY o) FROM unnest(c.reloptions) o), NULL),
    ('tablespace', (SELECT s.spcname::text FROM pg_catalog.pg_tablespace s WHERE s.oid = c.reltablespace AND $2), NULL),
    ('number of columns', x.indnatts || ' ' || x.indnkeyatts, NULL),
    ('predicate', NULL, pg_catalog.pg_get_expr(x.indpred, x.indrelid))
) AS p (property, fact, expression)
WHERE x.indexrelid = $1
UNION ALL
SELECT 'index column', a.attnum::text, p.property, p.fact, p.expression, x.indrelid::pg_catalog.regclass::text
FROM pg_catalog.pg_index x
JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indexrelid
CROSS JOIN LATERAL (VALUES
    ('column', CASE WHEN x.indkey[a.attnum - 1] <> 0 THEN pg_catalog.pg_get_indexdef(x.indexrelid, a.attnum, false) END, NULL),
    ('expression', NULL, CASE WHEN x.indkey[a.attnum - 1] = 0 THEN pg_catalog.pg_get_indexdef(x.indexrelid, a.attnum, false) END),
    ('order', CASE WHEN a.attnum <= x.indnkeyatts THEN x.indoption[a.attnum - 1]::text END, NULL),
    ('operator class', CASE WHEN a.attnum <= x.indnkeyatts THEN
                           (SELECT n.nspname || '.' || o.opcname FROM pg_catalog.pg_opclass o
                            JOIN pg_catalog.pg_namespace n ON n.oid = o.opcnamespace WHERE o.oid = x.indclass[a.attnum - 1]) END, NULL),
    ('collation', CASE WHEN a.attnum <= x.indnkeyatts AND x.indcollation[a.attnum - 1] <> 0
                       THEN x.indcollation[a.attnum - 1]::pg_catalog.regcollation::text END, NULL),
    ('options', (SELECT string_agg(o, ',' ORDER BY o) FROM unnest(a.attoptions) o WHERE o NOT LIKE 'pg_attver=%'), NULL),
    ('statistics target', coalesce(nullif((to_jsonb(a.*) ->> 'attstattarget')::int4, -1), -1)::text, NULL)
) AS p (property, fact, expression)
WHERE x.indexrelid = $1
ORDER BY 1, 2, 3
