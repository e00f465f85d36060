-- What a function, procedure or aggregate ($1) is made of, but for its expressions, which stand apart. Columns and functions that older
-- servers lack are read through JSON, or by the text of the whole.
SELECT concat_ws(E'\n', p.prokind::text, l.lanname, p.procost::text, p.prorows::text, p.prosupport::text, p.prosecdef::text,
                 p.proleakproof::text, p.proisstrict::text, p.proretset::text, p.provolatile::text, p.proparallel::text,
                 pg_catalog.format_type(p.prorettype, NULL),
                 ARRAY(SELECT pg_catalog.format_type(t, NULL) FROM unnest(coalesce(p.proallargtypes, p.proargtypes)) WITH ORDINALITY AS a(t, n)
                       ORDER BY n)::text,
                 'modes:' || p.proargmodes::text, 'names:' || p.proargnames::text,
                 'transforms:' || ARRAY(SELECT pg_catalog.format_type(t, NULL) FROM unnest(p.protrftypes) AS t ORDER BY 1)::text,
                 'settings:' || p.proconfig::text, 'binary:' || p.probin, p.prosrc) AS fact,
       concat_ws(E'\n', pg_catalog.pg_get_expr(p.proargdefaults, 0),
                 CASE WHEN to_jsonb(p.*) ->> 'prosqlbody' IS NOT NULL THEN pg_catalog.pg_get_functiondef(p.oid) END) AS expression
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang
WHERE p.oid = $1 AND p.prokind <> 'a'
