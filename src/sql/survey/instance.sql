-- The limits of a server, and its state. Settings that only newer servers have are read with missing_ok. Only monitors see the kind of
-- other roles' sessions.
WITH session AS (
    SELECT datid, usesysid FROM pg_catalog.pg_stat_activity
    WHERE usesysid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'
)
SELECT pg_catalog.pg_postmaster_start_time()::text AS started,
       -- reset_val has what database and role have set, although the session has pinned another value.
       current_setting('transaction_read_only')::bool
           OR coalesce((SELECT s.reset_val = 'on' FROM pg_catalog.pg_settings s WHERE s.name = 'default_transaction_read_only'), false)
           AS is_read_only,
       current_setting('max_connections')::int8 AS max_connections,
       current_setting('superuser_reserved_connections')::int8
           + coalesce(current_setting('reserved_connections', true)::int8, 0) AS reserved_connections,
       (SELECT count(*) FROM session) AS used_connections,
       d.datconnlimit::int8 AS database_limit,
       (SELECT count(*) FROM session WHERE datid = d.oid) AS used_of_database,
       r.rolconnlimit::int8 AS role_limit,
       (SELECT count(*) FROM session WHERE usesysid = r.oid) AS used_of_role,
       current_setting('max_locks_per_transaction')::int8
           * (current_setting('max_connections')::int8 + current_setting('max_prepared_transactions')::int8) AS locks,
       current_setting('max_standby_streaming_delay') AS standby_delay,
       current_setting('hot_standby_feedback')::bool AS standby_feedback,
       pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT') AS reads_passwords,
       coalesce(to_jsonb(d) ->> 'datlocprovider', 'c') AS locale_provider,
       coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale', '') AS locale
FROM pg_catalog.pg_database d, pg_catalog.pg_roles r
WHERE d.datname = current_database() AND r.rolname = current_user
