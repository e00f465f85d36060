-- The identity of this server for as long as it runs: every session that joins a snapshot reads the same.
SELECT (SELECT system_identifier FROM pg_catalog.pg_control_system()) || '/' || pg_catalog.pg_postmaster_start_time()::text || '/' || d.oid
FROM pg_catalog.pg_database d
WHERE d.datname = pg_catalog.current_database()
