-- The facts of a relation ($1) that its definition consists of, one a row. An expression is the server's own writing of it, which
-- majors may do in different ways. Columns that older catalogs lack are read through JSON; the option pg_attver, which some servers
-- keep for every column, is no part of a definition.
SELECT 'column' AS part, a.attname::text AS name,
       concat_ws(' ', pg_catalog.format_type(a.atttypid, a.atttypmod),
                 CASE WHEN a.attnotnull THEN 'not null' END,
                 'identity:' || a.attidentity::text, 'generated:' || a.attgenerated::text,
                 'storage:' || a.attstorage::text,
                 'compression:' || coalesce(to_jsonb(a.*) ->> 'attcompression', ''),
                 'statistics:' || coalesce(nullif((to_jsonb(a.*) ->> 'attstattarget')::int4, -1), -1)::text,
                 'collation:' || CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::pg_catalog.regcollation::text END,
                 'options:' || (SELECT string_agg(o, ',' ORDER BY o) FROM unnest(a.attoptions) o WHERE o NOT LIKE 'pg_attver=%'))
           AS fact,
       pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS expression
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT 'check', c.conname::text, concat_ws(' ', 'validated:' || c.convalidated::text, 'no inherit:' || c.connoinherit::text,
                                          'enforced:' || coalesce(to_jsonb(c.*) ->> 'conenforced', 'true')),
       pg_catalog.pg_get_expr(c.conbin, c.conrelid)
FROM pg_catalog.pg_constraint c
WHERE c.conrelid = $1 AND c.contype = 'c'
UNION ALL
SELECT 'parent', i.inhparent::pg_catalog.regclass::text, '', NULL
FROM pg_catalog.pg_inherits i WHERE i.inhrelid = $1
UNION ALL
SELECT 'relation', '',
       concat_ws(' ', c.relkind::text, c.relpersistence::text, 'replica identity:' || c.relreplident::text, 'of:' || nullif(c.reloftype, 0)::pg_catalog.regtype::text,
                 'row security:' || c.relrowsecurity::text || c.relforcerowsecurity::text,
                 'options:' || (SELECT string_agg(o, ',' ORDER BY o) FROM unnest(c.reloptions) o),
                 'access method:' || (SELECT am.amname::text FROM pg_catalog.pg_am am WHERE am.oid = c.relam)),
       concat_ws(' ', CASE WHEN c.relkind = 'p' THEN pg_catalog.pg_get_partkeydef(c.oid) END,
                 pg_catalog.pg_get_expr(c.relpartbound, c.oid))
FROM pg_catalog.pg_class c WHERE c.oid = $1
ORDER BY 1, 2
