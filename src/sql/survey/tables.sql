-- Existing relations under the names of tables to be made, and the rights of the role on them. The same statement reads the columns,
-- because another process of the run may make tables meanwhile. A table that another session has dropped by now has no privileges, and is
-- left out.
SELECT n.nspname::text AS schema,
       c.relname::text AS name,
       c.relkind::text AS kind,
       coalesce(pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT'), false) AS may_select,
       coalesce(pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'INSERT'), false) AS may_insert,
       coalesce(pg_catalog.has_table_privilege(c.oid, 'TRUNCATE'), false) AS may_truncate,
       coalesce(pg_catalog.has_table_privilege(c.oid, 'UPDATE'), false) AS may_update,
       coalesce(pg_catalog.row_security_active(c.oid), false) AS has_row_security,
       pg_catalog.pg_get_userbyid(c.relowner)::text AS owner,
       coalesce(pg_catalog.pg_has_role(c.relowner, 'USAGE'), false) AS is_owner,
       coalesce(pg_catalog.has_table_privilege(c.oid, 'TRIGGER'), false) AS may_trigger,
       coalesce(pg_catalog.has_any_column_privilege(c.oid, 'REFERENCES'), false) AS may_reference,
       -- Versions before 17 have no such privilege.
       coalesce(CASE WHEN current_setting('server_version_num')::int >= 170000 THEN pg_catalog.has_table_privilege(c.oid, 'MAINTAIN')
                     ELSE pg_catalog.pg_has_role(c.relowner, 'USAGE') END, false) AS may_maintain,
       -- A rule on UPDATE makes ON CONFLICT fail even if the rule is disabled.
       ARRAY(SELECT r.rulename::text FROM pg_catalog.pg_rewrite r
             WHERE r.ev_class = c.oid AND (r.ev_type = '2' OR r.ev_type = '3' AND r.ev_enabled IN ('O', 'A'))
             ORDER BY r.rulename) AS rules,
       columns.*
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(a.attname::text ORDER BY a.attnum), '{}') AS column_names,
           coalesce(array_agg(pg_catalog.format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum), '{}') AS column_types,
           -- Whether a row needs a value for it.
           coalesce(array_agg(a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' ORDER BY a.attnum), '{}') AS are_required,
           coalesce(array_agg(a.attnotnull ORDER BY a.attnum), '{}') AS are_not_null,
           coalesce(array_agg(a.attgenerated <> '' ORDER BY a.attnum), '{}') AS are_generated
    FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'f')) columns
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND pg_catalog.has_table_privilege(c.oid, 'SELECT') IS NOT NULL
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
