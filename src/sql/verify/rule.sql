-- The properties of a rule ($1).
SELECT 'relation' AS part, ''::text AS name, p.property, p.fact, p.expression, NULL::text AS scope
FROM pg_catalog.pg_rewrite r
CROSS JOIN LATERAL (VALUES
    ('enabled state', r.ev_enabled::text, NULL),
    ('event', r.ev_type::text, NULL),
    ('INSTEAD', r.is_instead::text, NULL),
    ('definition', NULL, pg_catalog.pg_get_ruledef(r.oid))
) AS p (property, fact, expression)
WHERE r.oid = $1 AND ($2 OR NOT $2)
ORDER BY 1, 2, 3
