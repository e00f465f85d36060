-- The objects that have security labels, each with its schema and the tag that pg_dump uses for its labels; labels of columns count as the
-- table's.
SELECT DISTINCT coalesce(n.nspname::text, '') AS schema,
       CASE o.class
           WHEN 'pg_catalog.pg_class'::regclass THEN
               CASE c.relkind WHEN 'v' THEN 'VIEW ' WHEN 'm' THEN 'MATERIALIZED VIEW ' WHEN 'f' THEN 'FOREIGN TABLE ' WHEN 'S' THEN 'SEQUENCE '
                              WHEN 'c' THEN 'TYPE ' ELSE 'TABLE ' END || pg_catalog.quote_ident(c.relname)
           WHEN 'pg_catalog.pg_proc'::regclass THEN
               CASE p.prokind WHEN 'p' THEN 'PROCEDURE ' WHEN 'a' THEN 'AGGREGATE ' ELSE 'FUNCTION ' END || pg_catalog.quote_ident(p.proname)
               || '(' || CASE WHEN p.prokind <> 'a' THEN pg_catalog.pg_get_function_identity_arguments(p.oid) ELSE
                              coalesce((SELECT string_agg(pg_catalog.format_type(a.type, NULL), ', ' ORDER BY a.n)
                                        FROM unnest(p.proargtypes) WITH ORDINALITY a (type, n)), '*') END || ')'
           WHEN 'pg_catalog.pg_type'::regclass THEN
               CASE t.typtype WHEN 'd' THEN 'DOMAIN ' ELSE 'TYPE ' END || pg_catalog.quote_ident(t.typname)
           ELSE upper(i.type) || ' ' || i.identity
       END AS tag
FROM (SELECT DISTINCT l.classoid AS class, l.objoid AS oid FROM pg_catalog.pg_seclabel l) o
CROSS JOIN LATERAL pg_catalog.pg_identify_object(o.class, o.oid, 0) i
LEFT JOIN pg_catalog.pg_class c ON o.class = 'pg_catalog.pg_class'::regclass AND c.oid = o.oid
LEFT JOIN pg_catalog.pg_proc p ON o.class = 'pg_catalog.pg_proc'::regclass AND p.oid = o.oid
LEFT JOIN pg_catalog.pg_type t ON o.class = 'pg_catalog.pg_type'::regclass AND t.oid = o.oid
LEFT JOIN pg_catalog.pg_namespace n ON n.oid = coalesce(c.relnamespace, p.pronamespace, t.typnamespace)
WHERE i.identity IS NOT NULL
