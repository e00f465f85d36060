-- The properties of a constraint ($1) of a table or domain. Majors may write the expression of a check differently; they write the
-- definitions of all others in the same way, except for the expressions of exclusion constraints. Columns that older catalogs lack are read
-- through JSON.
SELECT 'relation' AS part, ''::text AS name, p.property, p.fact, p.expression,
       CASE WHEN c.contypid <> 0
            THEN '(SELECT NULL::' || pg_catalog.format_type((SELECT t.typbasetype FROM pg_catalog.pg_type t WHERE t.oid = c.contypid), NULL) || ' AS value) AS v'
            WHEN c.contype = 'c' THEN c.conrelid::pg_catalog.regclass::text END AS scope
FROM pg_catalog.pg_constraint c
CROSS JOIN LATERAL (VALUES
    ('validated', c.convalidated::text, NULL),
    ('enforced', coalesce(to_jsonb(c.*) ->> 'conenforced', 'true'), NULL),
    ('NO INHERIT', CASE WHEN c.contype IN ('c', 'n') THEN c.connoinherit::text END, NULL),
    ('DEFERRABLE', c.condeferrable::text, NULL),
    ('INITIALLY DEFERRED', c.condeferred::text, NULL),
    ('definition', CASE WHEN c.contype NOT IN ('c', 'x') THEN pg_catalog.pg_get_constraintdef(c.oid) END,
                   CASE WHEN c.contype = 'x' THEN pg_catalog.pg_get_constraintdef(c.oid) END),
    ('expression', NULL, CASE WHEN c.contype = 'c' THEN pg_catalog.pg_get_expr(c.conbin, c.conrelid) END)
) AS p (property, fact, expression)
WHERE c.oid = $1 AND ($2 OR NOT $2)
ORDER BY 1, 2, 3
