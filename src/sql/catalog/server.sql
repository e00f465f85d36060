-- The identity of this server. A plain role may have no right to call pg_control_system(); the identifier is then empty, and the database's
-- own identity (oid and creation order) is used.
SELECT current_setting('server_version_num')::int4 AS version,
       current_database()::text AS database,
       d.oid AS database_oid,
       pg_catalog.pg_encoding_to_char(d.encoding)::text AS encoding,
       d.datcollate::text AS collation,
       d.datctype::text AS ctype,
       current_user::text AS role,
       r.rolsuper AS is_superuser,
       r.rolcreaterole AS can_create_roles,
       r.rolbypassrls OR r.rolsuper AS bypasses_row_security,
       pg_catalog.has_database_privilege(current_database(), 'CREATE') AS can_create,
       pg_catalog.pg_is_in_recovery() AS in_recovery,
       pg_catalog.pg_database_size(d.oid) AS bytes
FROM pg_catalog.pg_database d, pg_catalog.pg_roles r
WHERE d.datname = current_database() AND r.rolname = current_user
