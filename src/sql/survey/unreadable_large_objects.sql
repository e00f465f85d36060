-- Large objects that the role may not read. A function that checks this for one object exists only from 18 on.
SELECT m.oid AS oid
FROM pg_catalog.pg_largeobject_metadata m
WHERE NOT current_setting('is_superuser')::bool
  AND NOT current_setting('lo_compat_privileges')::bool
  AND NOT pg_catalog.pg_has_role(m.lomowner, 'USAGE')
  AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(m.lomacl) x
                  WHERE x.privilege_type = 'SELECT'
                    AND (x.grantee = 0 OR pg_catalog.pg_has_role(x.grantee, 'USAGE')))
ORDER BY m.oid
