-- Every large object with its owner, comment and the statements that give its privileges back
-- (https://www.postgresql.org/docs/current/catalog-pg-largeobject-metadata.html).
SELECT m.oid AS oid,
       r.rolname::text AS owner,
       d.description AS comment,
       ARRAY(SELECT CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(g.rolname) END
                    || ':' || x.privilege_type || CASE WHEN x.is_grantable THEN '*' ELSE '' END
             FROM pg_catalog.aclexplode(m.lomacl) x LEFT JOIN pg_catalog.pg_roles g ON g.oid = x.grantee
             WHERE x.grantee <> m.lomowner
             ORDER BY 1) AS privileges
FROM pg_catalog.pg_largeobject_metadata m
JOIN pg_catalog.pg_roles r ON r.oid = m.lomowner
LEFT JOIN pg_catalog.pg_description d
       ON d.classoid = 'pg_catalog.pg_largeobject'::regclass AND d.objoid = m.oid AND d.objsubid = 0
ORDER BY m.oid
