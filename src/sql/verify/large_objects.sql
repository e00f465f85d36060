-- Those of the large objects ($1) that exist, with owner, comment and privileges.
SELECT m.oid AS oid, coalesce(r.rolname::text, m.lomowner::text) AS owner,
       pg_catalog.obj_description(m.oid, 'pg_largeobject') AS comment,
       ARRAY(SELECT CASE WHEN x.grantee = 0 THEN 'PUBLIC' WHEN x.grantee = m.lomowner THEN 'the owner' ELSE coalesce(g.rolname::text, x.grantee::text) END
                    || ' ' || x.privilege_type || CASE WHEN x.is_grantable THEN ' with grant option' ELSE '' END
             FROM pg_catalog.aclexplode(coalesce(m.lomacl, pg_catalog.acldefault('L', m.lomowner))) x
             LEFT JOIN pg_catalog.pg_roles g ON g.oid = x.grantee
             ORDER BY 1) AS privileges
FROM pg_catalog.pg_largeobject_metadata m LEFT JOIN pg_catalog.pg_roles r ON r.oid = m.lomowner
WHERE m.oid = ANY ($1)
ORDER BY m.oid
