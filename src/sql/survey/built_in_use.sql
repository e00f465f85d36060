-- Objects that require an option with which a server may not have been built: columns compressed by lz4, columns of type xml, collations of
-- ICU, and functions in C with their libraries, each by the system catalog that lists it; members of extensions are left out, because
-- CREATE EXTENSION makes them.
SELECT 'lz4' AS feature, 'pg_catalog.pg_class'::regclass::oid AS catalog, a.attrelid AS oid, NULL::text AS library
FROM pg_catalog.pg_attribute a
WHERE to_jsonb(a) ->> 'attcompression' = 'l' AND NOT a.attisdropped AND a.attrelid >= 16384
UNION
SELECT 'xml', 'pg_catalog.pg_class'::regclass::oid, a.attrelid, NULL
FROM pg_catalog.pg_attribute a
WHERE a.atttypid IN ('xml'::regtype, 'xml[]'::regtype) AND NOT a.attisdropped AND a.attrelid >= 16384
UNION
SELECT 'ICU', 'pg_catalog.pg_collation'::regclass::oid, c.oid, NULL
FROM pg_catalog.pg_collation c WHERE c.collprovider = 'i' AND c.oid >= 16384
UNION
SELECT 'library', 'pg_catalog.pg_proc'::regclass::oid, p.oid, p.probin
FROM pg_catalog.pg_proc p
WHERE p.probin IS NOT NULL AND p.oid >= 16384
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e
                  WHERE e.classid = 'pg_catalog.pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e')
ORDER BY 1, 2, 3
