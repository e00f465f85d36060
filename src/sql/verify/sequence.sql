-- The properties of a sequence ($1): its parameters, and the identity column that it belongs to.
SELECT 'relation' AS part, ''::text AS name, p.property, p.fact, NULL::text AS expression, NULL::text AS scope
FROM pg_catalog.pg_sequence s
JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid
CROSS JOIN LATERAL (VALUES
    ('type', pg_catalog.format_type(s.seqtypid, NULL)),
    ('START', s.seqstart::text), ('INCREMENT', s.seqincrement::text), ('MINVALUE', s.seqmin::text), ('MAXVALUE', s.seqmax::text),
    ('CACHE', s.seqcache::text), ('CYCLE', s.seqcycle::text), ('persistence', c.relpersistence::text),
    ('identity', (SELECT a.attidentity::text || ' ' || a.attrelid::pg_catalog.regclass::text || '.' || a.attname::text
                  FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                  WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
                    AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype = 'i'))
) AS p (property, fact)
WHERE s.seqrelid = $1 AND ($2 OR NOT $2)
ORDER BY 1, 2, 3
