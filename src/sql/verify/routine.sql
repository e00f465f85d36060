-- The properties of a function or procedure ($1). Columns and functions that older servers lack are read through JSON, or from the text of
-- the whole definition.
SELECT 'relation' AS part, ''::text AS name, p.property, p.fact, p.expression, CASE p.property WHEN 'defaults' THEN '(SELECT) AS v' END AS scope
FROM pg_catalog.pg_proc f
JOIN pg_catalog.pg_language l ON l.oid = f.prolang
CROSS JOIN LATERAL (VALUES
    ('kind', f.prokind::text, NULL),
    ('language', l.lanname::text, NULL),
    ('COST', f.procost::text, NULL),
    ('ROWS', f.prorows::text, NULL),
    ('SUPPORT', f.prosupport::text, NULL),
    ('SECURITY DEFINER', f.prosecdef::text, NULL),
    ('LEAKPROOF', f.proleakproof::text, NULL),
    ('STRICT', f.proisstrict::text, NULL),
    ('volatility', f.provolatile::text, NULL),
    ('PARALLEL', f.proparallel::text, NULL),
    ('result', f.proretset::text || ' ' || pg_catalog.format_type(f.prorettype, NULL), NULL),
    ('arguments', concat_ws(' ', ARRAY(SELECT pg_catalog.format_type(t, NULL) FROM unnest(coalesce(f.proallargtypes, f.proargtypes)) WITH ORDINALITY AS a(t, n)
                                       ORDER BY n)::text,
                            'modes:' || f.proargmodes::text, 'names:' || f.proargnames::text), NULL),
    ('TRANSFORM', ARRAY(SELECT pg_catalog.format_type(t, NULL) FROM unnest(f.protrftypes) AS t ORDER BY 1)::text, NULL),
    ('settings', f.proconfig::text, NULL),
    ('library', f.probin, NULL),
    ('body', f.prosrc, CASE WHEN to_jsonb(f.*) ->> 'prosqlbody' IS NOT NULL THEN pg_catalog.pg_get_functiondef(f.oid) END),
    ('defaults', NULL, pg_catalog.pg_get_expr(f.proargdefaults, 0))
) AS p (property, fact, expression)
WHERE f.oid = $1 AND f.prokind <> 'a' AND ($2 OR NOT $2)
ORDER BY 1, 2, 3
