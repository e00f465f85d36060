-- Those of the large objects $1 that exist, each with its owner and with the rights of the role on it.
SELECT m.oid AS oid,
       pg_catalog.pg_get_userbyid(m.lomowner)::text AS owner,
       pg_catalog.pg_has_role(m.lomowner, 'USAGE') AS is_owner,
       current_setting('is_superuser')::bool OR current_setting('lo_compat_privileges')::bool
       OR pg_catalog.pg_has_role(m.lomowner, 'USAGE')
       OR EXISTS (SELECT FROM pg_catalog.aclexplode(m.lomacl) x
                  WHERE x.privilege_type = 'SELECT'
                    AND (x.grantee = 0 OR pg_catalog.pg_has_role(x.grantee, 'USAGE'))) AS may_read
FROM pg_catalog.pg_largeobject_metadata m
WHERE m.oid = ANY ($1)
ORDER BY m.oid
