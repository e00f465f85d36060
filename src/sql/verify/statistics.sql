-- The properties of extended statistics ($1).
SELECT 'relation' AS part, ''::text AS name, p.property, p.fact, p.expression, NULL::text AS scope
FROM pg_catalog.pg_statistic_ext s
CROSS JOIN LATERAL (VALUES
    ('table', s.stxrelid::pg_catalog.regclass::text, NULL),
    ('kinds', s.stxkind::text, NULL),
    ('statistics target', coalesce(nullif((to_jsonb(s.*) ->> 'stxstattarget')::int4, -1), -1)::text, NULL),
    ('columns', ARRAY(SELECT a.attname::text FROM unnest(s.stxkeys) WITH ORDINALITY AS k(number, place)
                      JOIN pg_catalog.pg_attribute a ON a.attrelid = s.stxrelid AND a.attnum = k.number ORDER BY k.place)::text, NULL),
    ('definition', NULL, pg_catalog.pg_get_statisticsobjdef(s.oid))
) AS p (property, fact, expression)
WHERE s.oid = $1 AND ($2 OR NOT $2)
ORDER BY 1, 2, 3
