-- The memberships of roles, a row for each grantor. INHERIT and SET options and meaningful grantors exist from 16 on; they are read through
-- JSON. The grantor is NULL if it is the bootstrap superuser, whose name differs between servers
-- (https://www.postgresql.org/docs/current/sql-grant.html).
SELECT * FROM (
    SELECT DISTINCT g.rolname::text AS granted, m.rolname::text AS member,
           a.admin_option AS admin_option,
           (to_jsonb(a) ->> 'inherit_option')::bool AS inherit_option,
           (to_jsonb(a) ->> 'set_option')::bool AS set_option,
           CASE WHEN to_jsonb(a) ->> 'set_option' IS NOT NULL AND a.grantor <> 10
                THEN pg_catalog.pg_get_userbyid(a.grantor)::text END AS grantor
    FROM pg_catalog.pg_auth_members a
    JOIN pg_catalog.pg_roles g ON g.oid = a.roleid
    JOIN pg_catalog.pg_roles m ON m.oid = a.member
    WHERE m.rolname !~ '^(pg_|rds_|cloudsql|azure_|alloydb)|^(rdsadmin|rdsproxyadmin|rdsrepladmin|rdstopmgr|rdswriteforwarduser|azuresu)$' AND m.rolname <> 'postgres'
      AND g.rolname !~ '^(rds_|cloudsql|azure_|alloydb)|^(rdsadmin|rdsproxyadmin|rdsrepladmin|rdstopmgr|rdswriteforwarduser|azuresu)$') grants
ORDER BY granted COLLATE "C", member COLLATE "C", grantor COLLATE "C" NULLS FIRST, admin_option, inherit_option, set_option
