-- Ends the session of that application_name, which is pgmigrate's own.
SELECT pg_catalog.pg_terminate_backend(a.pid)
FROM pg_catalog.pg_stat_activity a
WHERE a.application_name = $1 AND a.usename = current_user AND a.datname = current_database()
