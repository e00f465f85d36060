-- The properties of a row security policy ($1).
SELECT 'relation' AS part, ''::text AS name, p.property, p.fact, p.expression, o.polrelid::pg_catalog.regclass::text AS scope
FROM pg_catalog.pg_policy o
CROSS JOIN LATERAL (VALUES
    ('command', o.polcmd::text, NULL),
    ('PERMISSIVE', o.polpermissive::text, NULL),
    ('roles', ARRAY(SELECT CASE WHEN r = 0 THEN 'public' ELSE pg_catalog.pg_get_userbyid(r)::text END FROM unnest(o.polroles) AS r ORDER BY 1)::text, NULL),
    ('USING', NULL, pg_catalog.pg_get_expr(o.polqual, o.polrelid)),
    ('WITH CHECK', NULL, pg_catalog.pg_get_expr(o.polwithcheck, o.polrelid))
) AS p (property, fact, expression)
WHERE o.oid = $1 AND ($2 OR NOT $2)
ORDER BY 1, 2, 3
