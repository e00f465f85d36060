-- The functions that set parameters, with the parameters' names; members of extensions are left out, because CREATE EXTENSION makes them.
SELECT p.oid AS oid, ARRAY(SELECT split_part(c, '=', 1) FROM unnest(p.proconfig) c) AS parameters
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE p.proconfig IS NOT NULL
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e
                  WHERE e.classid = 'pg_catalog.pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e')
ORDER BY p.oid
