-- The query that lists the rows of a foreign key which have no referenced row: $1 the table, $2 the constraint, both as quoted SQL. MATCH
-- SIMPLE: a row with any NULL among the columns references nothing and violates nothing.
SELECT pg_catalog.format(
           'SELECT %s FROM ONLY %s c WHERE %s AND NOT EXISTS (SELECT FROM %s p WHERE %s)',
           string_agg(pg_catalog.format('c.%I', a.attname), ', ' ORDER BY k.position),
           c.conrelid::pg_catalog.regclass,
           string_agg(pg_catalog.format('c.%I IS NOT NULL', a.attname), ' AND ' ORDER BY k.position),
           c.confrelid::pg_catalog.regclass,
           string_agg(pg_catalog.format('p.%I = c.%I', r.attname, a.attname), ' AND ' ORDER BY k.position))
FROM pg_catalog.pg_constraint c
CROSS JOIN unnest(c.conkey, c.confkey) WITH ORDINALITY k(attnum, refnum, position)
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum
JOIN pg_catalog.pg_attribute r ON r.attrelid = c.confrelid AND r.attnum = k.refnum
WHERE c.conrelid = pg_catalog.to_regclass($1) AND '"' || replace(c.conname::text, '"', '""') || '"' = $2 AND c.contype = 'f'
GROUP BY c.oid, c.conrelid, c.confrelid
