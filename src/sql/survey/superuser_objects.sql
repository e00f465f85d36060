-- Objects that only a superuser may make, each with the reason, by the system catalog that lists them; members of extensions are left out,
-- because CREATE EXTENSION makes them. A cast that is not binary requires the ownership of one of its types: the row has the catalog and
-- OID of both.
WITH found (catalog, oid, reason, types) AS (
    SELECT 'pg_catalog.pg_proc'::regclass::oid, p.oid,
           CASE WHEN a.aggtranstype = 'internal'::regtype THEN 'aggregate of type internal'
                WHEN NOT l.lanpltrusted THEN 'language ' || pg_catalog.quote_ident(l.lanname)
                WHEN p.proleakproof THEN 'leakproof function'
                ELSE 'support function' END, NULL::oid[]
    FROM pg_catalog.pg_proc p
    JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    LEFT JOIN pg_catalog.pg_aggregate a ON a.aggfnoid = p.oid
    WHERE p.pronamespace NOT IN (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname ~ '^pg_' OR nspname = 'information_schema')
      AND (p.prokind <> 'a' AND (NOT l.lanpltrusted OR p.proleakproof OR p.prosupport <> 0)
           OR a.aggtranstype = 'internal'::regtype)
    UNION ALL
    SELECT 'pg_catalog.pg_type'::regclass::oid, t.oid, 'base type', NULL
    FROM pg_catalog.pg_type t
    WHERE t.typtype = 'b' AND t.typcategory <> 'A'
      AND t.typnamespace NOT IN (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname ~ '^pg_' OR nspname = 'information_schema')
    UNION ALL
    SELECT 'pg_catalog.pg_cast'::regclass::oid, c.oid, 'cast',
           CASE WHEN c.castmethod <> 'b' THEN
               ARRAY(SELECT unnest(ARRAY[t.oid, coalesce(nullif(t.typrelid, 0), t.oid)])
                     FROM pg_catalog.pg_type t WHERE t.oid IN (c.castsource, c.casttarget)) END
    FROM pg_catalog.pg_cast c
    WHERE c.oid >= 16384
)
SELECT f.catalog AS catalog, f.oid AS oid, f.reason AS reason, f.types AS types
FROM found f
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = f.catalog AND e.objid = f.oid AND e.deptype = 'e')
ORDER BY 3, 1, 2
