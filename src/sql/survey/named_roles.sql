-- The roles that privileges (a) and policies (r) of this database name, with the object that names them
-- (https://www.postgresql.org/docs/current/catalog-pg-shdepend.html).
SELECT DISTINCT r.rolname::text AS role, d.classid AS catalog, d.objid AS oid
FROM pg_catalog.pg_shdepend d
JOIN pg_catalog.pg_roles r ON r.oid = d.refobjid
WHERE d.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  AND d.refclassid = 'pg_catalog.pg_authid'::regclass
  AND d.deptype IN ('a', 'r')
ORDER BY 1, 2, 3
