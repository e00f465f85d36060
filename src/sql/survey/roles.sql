-- Every role, and whether ALTER ... OWNER TO it is open to us. From 16 on membership alone is not enough for that.
SELECT r.rolname::text AS name,
       pg_catalog.pg_has_role(r.oid, CASE WHEN current_setting('server_version_num')::int4 >= 160000 THEN 'SET' ELSE 'MEMBER' END) AS may_set,
       r.rolsuper AS is_superuser, r.rolreplication AS is_replication, r.rolbypassrls AS bypasses_row_security
FROM pg_catalog.pg_roles r
ORDER BY r.rolname COLLATE "C"
