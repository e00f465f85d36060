-- The properties of a domain, enum, composite, range or base type ($1). The name of a range's multirange type is left out, because servers
-- before 14 have none.
SELECT 'relation' AS part, ''::text AS name, p.property, p.fact, p.expression, '(SELECT) AS v' AS scope
FROM pg_catalog.pg_type t
CROSS JOIN LATERAL (VALUES
    ('kind', t.typtype::text, NULL),
    ('base type', CASE WHEN t.typtype = 'd' THEN pg_catalog.format_type(t.typbasetype, t.typtypmod) END, NULL),
    ('NOT NULL', CASE WHEN t.typtype = 'd' THEN t.typnotnull::text END, NULL),
    ('collation', CASE WHEN t.typtype = 'd' THEN nullif(t.typcollation, 0)::pg_catalog.regcollation::text END, NULL),
    ('default', NULL, CASE WHEN t.typtype = 'd' THEN coalesce(pg_catalog.pg_get_expr(t.typdefaultbin, 0), t.typdefault) END),
    ('storage', CASE WHEN t.typtype = 'b' THEN concat_ws(' ', t.typlen::text, t.typbyval::text, t.typalign::text, t.typstorage::text) END, NULL),
    ('functions', CASE WHEN t.typtype = 'b' THEN concat_ws(' ', t.typinput::text, t.typoutput::text, t.typreceive::text, t.typsend::text,
                                                         t.typmodin::text, t.typmodout::text, t.typanalyze::text,
                                                         to_jsonb(t.*) ->> 'typsubscript') END, NULL),
    ('category', CASE WHEN t.typtype = 'b' THEN concat_ws(' ', t.typcategory::text, t.typispreferred::text, t.typdelim::text,
                                                        pg_catalog.format_type(nullif(t.typelem, 0), NULL), t.typdefault) END, NULL),
    ('labels', (SELECT string_agg(pg_catalog.quote_literal(e.enumlabel), ',' ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid), NULL),
    ('attributes', (SELECT string_agg(pg_catalog.quote_ident(a.attname) || ' ' || pg_catalog.format_type(a.atttypid, a.atttypmod)
                                      || coalesce(' ' || nullif(a.attcollation, 0)::pg_catalog.regcollation::text, ''), ',' ORDER BY a.attnum)
                    FROM pg_catalog.pg_attribute a WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped), NULL),
    ('range', (SELECT concat_ws(' ', pg_catalog.format_type(r.rngsubtype, NULL), r.rngcollation::pg_catalog.regcollation::text,
                                (SELECT n.nspname || '.' || o.opcname FROM pg_catalog.pg_opclass o
                                 JOIN pg_catalog.pg_namespace n ON n.oid = o.opcnamespace WHERE o.oid = r.rngsubopc),
                                r.rngcanonical::text, r.rngsubdiff::text)
               FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid), NULL)
) AS p (property, fact, expression)
WHERE t.oid = $1 AND ($2 OR NOT $2)
UNION ALL
SELECT 'constraint', c.conname::text, p.property, p.fact, p.expression,
       '(SELECT NULL::' || pg_catalog.format_type(t.typbasetype, NULL) || ' AS value) AS v'
FROM pg_catalog.pg_constraint c
JOIN pg_catalog.pg_type t ON t.oid = c.contypid
CROSS JOIN LATERAL (VALUES
    ('validated', c.convalidated::text, NULL),
    ('expression', NULL, pg_catalog.pg_get_expr(c.conbin, 0))
) AS p (property, fact, expression)
WHERE c.contypid = $1 AND c.contype = 'c'
ORDER BY 1, 2, 3
