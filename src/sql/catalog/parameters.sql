-- Who may set which configuration parameter, or change it by ALTER SYSTEM; from 15 on
-- (https://www.postgresql.org/docs/current/catalog-pg-parameter-acl.html). What the system grants to its own roles is left out.
SELECT p.parname AS parameter, CASE WHEN x.grantee <> 0 THEN pg_catalog.pg_get_userbyid(x.grantee)::text END AS grantee,
       x.privilege_type AS privilege, x.is_grantable AS is_grantable
FROM pg_catalog.pg_parameter_acl p CROSS JOIN LATERAL pg_catalog.aclexplode(p.paracl) x
WHERE x.grantee <> 10
ORDER BY p.parname COLLATE "C", x.grantee <> 0, pg_catalog.pg_get_userbyid(x.grantee)::text COLLATE "C", x.privilege_type
