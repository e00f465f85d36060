-- Every role, and the rights of the connecting role on it: to make it the owner of objects (from 16 on membership alone is not enough), to
-- use its privileges, and to grant membership in it.
SELECT r.rolname::text AS name,
       pg_catalog.pg_has_role(r.oid, CASE WHEN current_setting('server_version_num')::int4 >= 160000 THEN 'SET' ELSE 'MEMBER' END) AS may_set,
       pg_catalog.pg_has_role(r.oid, 'USAGE') AS has_privileges,
       pg_catalog.pg_has_role(r.oid, 'MEMBER WITH ADMIN OPTION') AS is_admin,
       r.rolsuper AS is_superuser, r.rolreplication AS is_replication, r.rolbypassrls AS bypasses_row_security,
       r.rolcreatedb AS can_create_databases
FROM pg_catalog.pg_roles r
ORDER BY r.rolname COLLATE "C"
