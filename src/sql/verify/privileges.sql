-- Who may do what with an object ($2) of a system catalog ($1), or by a rule of default privileges, without the right MAINTAIN,
-- which exists from 17 on and which an owner there has of old.
SELECT coalesce(r.rolname::text, 'PUBLIC') AS grantee, a.privilege_type AS privilege, a.is_grantable AS is_grantable
FROM (SELECT coalesce(c.relacl, pg_catalog.acldefault(CASE c.relkind WHEN 'S' THEN 's'::"char" ELSE 'r'::"char" END, c.relowner)) AS acl
      FROM pg_catalog.pg_class c WHERE $1 = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid = $2
      UNION ALL
      SELECT coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))
      FROM pg_catalog.pg_proc p WHERE $1 = 'pg_catalog.pg_proc'::pg_catalog.regclass AND p.oid = $2
      UNION ALL
      SELECT d.defaclacl
      FROM pg_catalog.pg_default_acl d WHERE $1 = 'pg_catalog.pg_default_acl'::pg_catalog.regclass AND d.oid = $2) AS found
CROSS JOIN LATERAL pg_catalog.aclexplode(found.acl) AS a
LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
WHERE a.privilege_type <> 'MAINTAIN'
ORDER BY 1, 2, 3
