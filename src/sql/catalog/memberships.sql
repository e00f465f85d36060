-- Who is a member of which role. INHERIT and SET options exist from 16 on and are read through JSON; a grant that several
-- grantors gave counts once.
SELECT * FROM (
    SELECT DISTINCT g.rolname::text AS granted, m.rolname::text AS member,
           a.admin_option AS admin_option,
           (to_jsonb(a) ->> 'inherit_option')::bool AS inherit_option,
           (to_jsonb(a) ->> 'set_option')::bool AS set_option
    FROM pg_catalog.pg_auth_members a
    JOIN pg_catalog.pg_roles g ON g.oid = a.roleid
    JOIN pg_catalog.pg_roles m ON m.oid = a.member
    WHERE m.rolname !~ '^(pg_|rds_|cloudsql|azure_|alloydb)|^(rdsadmin|rdsproxyadmin|rdsrepladmin|rdstopmgr|rdswriteforwarduser|azuresu)$' AND m.rolname <> 'postgres'
      AND g.rolname !~ '^(rds_|cloudsql|azure_|alloydb)|^(rdsadmin|rdsproxyadmin|rdsrepladmin|rdstopmgr|rdswriteforwarduser|azuresu)$') grants
ORDER BY granted COLLATE "C", member COLLATE "C", admin_option, inherit_option, set_option
