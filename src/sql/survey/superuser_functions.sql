-- Functions in C or another language that only a superuser may use, and such languages themselves; those of extensions come with these.
SELECT 'pg_catalog.pg_proc'::regclass::oid AS catalog,
       p.oid AS oid,
       pg_catalog.format('%I.%I(%s)', n.nspname, p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid)) AS object,
       l.lanname::text AS language
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
WHERE NOT l.lanpltrusted
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e
                  WHERE e.classid = 'pg_catalog.pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e')
UNION ALL
SELECT 'pg_catalog.pg_language'::regclass::oid, l.oid, pg_catalog.quote_ident(l.lanname), l.lanname::text
FROM pg_catalog.pg_language l
WHERE l.lanispl AND NOT l.lanpltrusted
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e
                  WHERE e.classid = 'pg_catalog.pg_language'::regclass AND e.objid = l.oid AND e.deptype = 'e')
ORDER BY 3
