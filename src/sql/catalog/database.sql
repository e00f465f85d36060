-- The database itself, which pg_dump writes only together with CREATE DATABASE: its owner, limits, comment and security labels, its
-- privileges, and what ALTER ROLE ALL SET says for every role and database of the server. A grantor is NULL if it is the owner; default
-- privileges that PUBLIC or the owner no longer has are listed as lost.
SELECT pg_catalog.pg_get_userbyid(d.datdba)::text AS owner, d.datconnlimit AS connection_limit,
       d.datistemplate AS is_template, d.datallowconn AS allows_connections,
       pg_catalog.shobj_description(d.oid, 'pg_database') AS comment,
       ARRAY(SELECT s.provider FROM pg_catalog.pg_shseclabel s
             WHERE s.objoid = d.oid AND s.classoid = 'pg_catalog.pg_database'::pg_catalog.regclass ORDER BY s.provider) AS label_providers,
       ARRAY(SELECT s.label FROM pg_catalog.pg_shseclabel s
             WHERE s.objoid = d.oid AND s.classoid = 'pg_catalog.pg_database'::pg_catalog.regclass ORDER BY s.provider) AS labels,
       coalesce((SELECT s.setconfig FROM pg_catalog.pg_db_role_setting s WHERE s.setdatabase = 0 AND s.setrole = 0), '{}') AS settings_of_all,
       coalesce((SELECT json_agg(json_build_object(
                            'grantee', CASE WHEN x.grantee <> 0 THEN pg_catalog.pg_get_userbyid(x.grantee) END,
                            'privilege', x.privilege_type, 'is_grantable', x.is_grantable,
                            'grantor', CASE WHEN x.grantor <> d.datdba THEN pg_catalog.pg_get_userbyid(x.grantor) END)
                        ORDER BY x.grantor <> d.datdba, x.grantor, x.grantee, x.privilege_type)
                 FROM pg_catalog.aclexplode(d.datacl) x
                 WHERE x.grantee <> d.datdba
                   AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(pg_catalog.acldefault('d', d.datdba)) u
                                   WHERE u.grantee = x.grantee AND u.privilege_type = x.privilege_type
                                     AND u.is_grantable = x.is_grantable AND u.grantor = x.grantor)), '[]')::text AS grants,
       coalesce((SELECT json_agg(u.privilege_type ORDER BY u.privilege_type)
                 FROM pg_catalog.aclexplode(pg_catalog.acldefault('d', d.datdba)) u
                 WHERE u.grantee = 0 AND d.datacl IS NOT NULL
                   AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(d.datacl) x
                                   WHERE x.grantee = 0 AND x.privilege_type = u.privilege_type)), '[]')::text AS lost_by_public,
       coalesce((SELECT json_agg(u.privilege_type ORDER BY u.privilege_type)
                 FROM pg_catalog.aclexplode(pg_catalog.acldefault('d', d.datdba)) u
                 WHERE u.grantee = d.datdba AND d.datacl IS NOT NULL
                   AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(d.datacl) x
                                   WHERE x.grantee = d.datdba AND x.privilege_type = u.privilege_type)), '[]')::text AS lost_by_owner
FROM pg_catalog.pg_database d
WHERE d.datname = pg_catalog.current_database()
