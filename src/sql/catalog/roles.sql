-- Every role that a user made, with its attributes and settings of its own. Roles of a cloud provider and the system's pg_* roles are left
-- out.
SELECT r.rolname::text AS name,
       r.rolsuper AS is_superuser, r.rolinherit AS inherits, r.rolcreaterole AS can_create_roles,
       r.rolcreatedb AS can_create_databases, r.rolcanlogin AS can_login, r.rolreplication AS is_replication,
       r.rolbypassrls AS bypasses_row_security, r.rolconnlimit AS connection_limit,
       r.rolvaliduntil::text AS valid_until,
       coalesce((SELECT s.setconfig FROM pg_catalog.pg_db_role_setting s WHERE s.setrole = r.oid AND s.setdatabase = 0), '{}') AS settings,
       coalesce((SELECT s.setconfig FROM pg_catalog.pg_db_role_setting s
                 WHERE s.setrole = r.oid
                   AND s.setdatabase = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())), '{}') AS database_settings,
       pg_catalog.shobj_description(r.oid, 'pg_authid') AS comment
FROM pg_catalog.pg_roles r
WHERE r.rolname !~ '^(pg_|rds_|cloudsql|azure_|alloydb)|^(rdsadmin|rdsproxyadmin|rdsrepladmin|rdstopmgr|rdswriteforwarduser|azuresu)$' AND r.rolname <> 'postgres'
ORDER BY r.rolname COLLATE "C"
