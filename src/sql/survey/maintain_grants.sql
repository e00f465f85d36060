-- The tables and rules of default privileges that grant MAINTAIN to another role than their owner; GRANT ALL is not among them, because it
-- names no privilege (https://www.postgresql.org/docs/current/ddl-priv.html).
SELECT DISTINCT o.catalog, o.oid
FROM (SELECT 'pg_catalog.pg_class'::regclass::oid AS catalog, c.oid, c.relowner AS owner, c.relacl AS acl
      FROM pg_catalog.pg_class c
      UNION ALL
      SELECT 'pg_catalog.pg_default_acl'::regclass::oid, d.oid, d.defaclrole, d.defaclacl
      FROM pg_catalog.pg_default_acl d) o
CROSS JOIN LATERAL pg_catalog.aclexplode(o.acl) x
WHERE x.grantee <> o.owner
GROUP BY o.catalog, o.oid, x.grantor, x.grantee, x.is_grantable
HAVING bool_or(x.privilege_type = 'MAINTAIN') AND count(*) < 8
