-- The schemas in which the roles that can become owners of objects may create objects, as ALTER ... OWNER requires.
SELECT n.nspname::text AS schema, r.rolname::text AS role
FROM pg_catalog.pg_namespace n CROSS JOIN pg_catalog.pg_roles r
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND pg_catalog.pg_has_role(r.oid, CASE WHEN current_setting('server_version_num')::int4 >= 160000 THEN 'SET' ELSE 'MEMBER' END)
  AND pg_catalog.has_schema_privilege(r.oid, n.oid, 'CREATE')
