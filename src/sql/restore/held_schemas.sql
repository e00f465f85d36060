-- The schemas that stay because an extension stays ($1: the names of extensions that stay) and has objects in them.
SELECT DISTINCT n.nspname::text AS name
FROM pg_catalog.pg_extension e
CROSS JOIN LATERAL (
    SELECT e.extnamespace AS oid
    UNION
    SELECT coalesce(c.relnamespace, p.pronamespace, t.typnamespace, d.objid)
    FROM pg_catalog.pg_depend d
    LEFT JOIN pg_catalog.pg_class c ON d.classid = 'pg_catalog.pg_class'::regclass AND c.oid = d.objid
    LEFT JOIN pg_catalog.pg_proc p ON d.classid = 'pg_catalog.pg_proc'::regclass AND p.oid = d.objid
    LEFT JOIN pg_catalog.pg_type t ON d.classid = 'pg_catalog.pg_type'::regclass AND t.oid = d.objid
    WHERE d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
      AND d.classid IN ('pg_catalog.pg_class'::regclass, 'pg_catalog.pg_proc'::regclass,
                        'pg_catalog.pg_type'::regclass, 'pg_catalog.pg_namespace'::regclass)
) s
JOIN pg_catalog.pg_namespace n ON n.oid = s.oid
WHERE e.extname = ANY ($1::text[])
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY 1
