-- The properties of a table, view or foreign table ($1) that make up its definition, one a row, with its tablespace if it is to be compared
-- ($2). An expression is the server's own text of it, which may differ between majors; `scope` is the FROM clause over which it can be
-- parsed again. Columns that older catalogs lack are read through JSON. The option pg_attver, which some servers keep for every column, is
-- no part of a definition. Row security is enabled by an entry of its own, and whether a partition shows the identity columns of its parent
-- depends on the version.
SELECT 'column' AS part, a.attname::text AS name, p.property, p.fact, p.expression, a.attrelid::pg_catalog.regclass::text AS scope
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
CROSS JOIN LATERAL (VALUES
    ('type', pg_catalog.format_type(a.atttypid, a.atttypmod), NULL),
    ('NOT NULL', a.attnotnull::text, NULL),
    ('identity', CASE WHEN NOT (SELECT c.relispartition FROM pg_catalog.pg_class c WHERE c.oid = $1) THEN a.attidentity::text END, NULL),
    ('generated', a.attgenerated::text, NULL),
    ('storage', a.attstorage::text, NULL),
    ('compression', coalesce(to_jsonb(a.*) ->> 'attcompression', ''), NULL),
    ('statistics target', coalesce(nullif((to_jsonb(a.*) ->> 'attstattarget')::int4, -1), -1)::text, NULL),
    ('collation', CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::pg_catalog.regcollation::text END, NULL),
    ('options', (SELECT string_agg(o, ',' ORDER BY o) FROM unnest(a.attoptions) o WHERE o NOT LIKE 'pg_attver=%'), NULL),
    ('foreign options', (SELECT string_agg(o, ',' ORDER BY o) FROM unnest(a.attfdwoptions) o), NULL),
    ('expression', NULL, pg_catalog.pg_get_expr(d.adbin, d.adrelid)),
    ('position', CASE WHEN NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = $1)
                      THEN (SELECT count(*) FROM pg_catalog.pg_attribute b
                            WHERE b.attrelid = $1 AND b.attnum BETWEEN 1 AND a.attnum AND NOT b.attisdropped)::text END, NULL)
) AS p (property, fact, expression)
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT 'column', a.attname::text, p.property, p.fact, NULL, NULL
FROM pg_catalog.pg_constraint c
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
CROSS JOIN LATERAL (VALUES
    ('NOT NULL name', c.conname::text),
    ('NOT NULL state', nullif(concat_ws(' ', CASE WHEN NOT c.convalidated THEN 'not valid' END, CASE WHEN c.connoinherit THEN 'no inherit' END), ''))
) AS p (property, fact)
WHERE c.conrelid = $1 AND c.contype = 'n' AND p.fact IS NOT NULL
UNION ALL
SELECT 'constraint', c.conname::text, p.property, p.fact, p.expression, c.conrelid::pg_catalog.regclass::text
FROM pg_catalog.pg_constraint c
CROSS JOIN LATERAL (VALUES
    ('validated', c.convalidated::text, NULL),
    ('NO INHERIT', c.connoinherit::text, NULL),
    ('enforced', coalesce(to_jsonb(c.*) ->> 'conenforced', 'true'), NULL),
    ('expression', NULL, pg_catalog.pg_get_expr(c.conbin, c.conrelid))
) AS p (property, fact, expression)
WHERE c.conrelid = $1 AND c.contype = 'c'
UNION ALL
SELECT 'parent', i.inhparent::pg_catalog.regclass::text, 'order', i.inhseqno::text, NULL, NULL
FROM pg_catalog.pg_inherits i WHERE i.inhrelid = $1
UNION ALL
SELECT 'relation', '', p.property, p.fact, p.expression, NULL
FROM pg_catalog.pg_class c
CROSS JOIN LATERAL (VALUES
    ('kind', c.relkind::text, NULL),
    ('persistence', c.relpersistence::text, NULL),
    ('replica identity', c.relreplident::text, NULL),
    ('OF type', nullif(c.reloftype, 0)::pg_catalog.regtype::text, NULL),
    ('FORCE ROW LEVEL SECURITY', c.relforcerowsecurity::text, NULL),
    ('options', (SELECT string_agg(o, ',' ORDER BY o) FROM unnest(c.reloptions) o), NULL),
    ('TOAST options', (SELECT string_agg(o, ',' ORDER BY o) FROM pg_catalog.pg_class x, unnest(x.reloptions) o WHERE x.oid = c.reltoastrelid), NULL),
    ('access method', (SELECT am.amname::text FROM pg_catalog.pg_am am WHERE am.oid = c.relam), NULL),
    ('tablespace', (SELECT s.spcname::text FROM pg_catalog.pg_tablespace s WHERE s.oid = c.reltablespace AND $2), NULL),
    ('server', (SELECT s.srvname::text FROM pg_catalog.pg_foreign_table f JOIN pg_catalog.pg_foreign_server s ON s.oid = f.ftserver
                WHERE f.ftrelid = c.oid), NULL),
    ('foreign options', (SELECT string_agg(o, ',' ORDER BY o) FROM pg_catalog.pg_foreign_table f, unnest(f.ftoptions) o
                         WHERE f.ftrelid = c.oid), NULL),
    ('partition key', NULL, CASE WHEN c.relkind = 'p' THEN pg_catalog.pg_get_partkeydef(c.oid) END),
    ('partition bound', NULL, pg_catalog.pg_get_expr(c.relpartbound, c.oid))
) AS p (property, fact, expression)
WHERE c.oid = $1
ORDER BY 1, 2, 3
