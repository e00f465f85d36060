-- The roles that objects of this database name as owner (o), in privileges (a) or in policies (r), with the object that names them. The
-- bootstrap superuser is not among them (https://www.postgresql.org/docs/current/catalog-pg-shdepend.html). Large objects, of which there
-- may be very many, are one object here, of OID 0.
SELECT DISTINCT r.rolname::text AS role, d.deptype::text AS part, d.classid AS catalog,
       CASE WHEN d.classid = 'pg_catalog.pg_largeobject'::regclass THEN 0::oid ELSE d.objid END AS oid
FROM pg_catalog.pg_shdepend d
JOIN pg_catalog.pg_roles r ON r.oid = d.refobjid
WHERE d.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  AND d.refclassid = 'pg_catalog.pg_authid'::regclass
  AND d.deptype IN ('o', 'a', 'r')
ORDER BY 1, 2, 3, 4
