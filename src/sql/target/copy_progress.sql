-- The number of rows that pgmigrate's sessions on this database have copied: the task by their application_name
-- (https://www.postgresql.org/docs/current/progress-reporting.html#COPY-PROGRESS-REPORTING).
SELECT pg_catalog.substr(a.application_name, 11) AS task, p.bytes_processed AS bytes, p.tuples_processed AS rows
FROM pg_catalog.pg_stat_progress_copy p
JOIN pg_catalog.pg_stat_activity a ON a.pid = p.pid
WHERE p.datname = pg_catalog.current_database() AND a.application_name LIKE 'pgmigrate %' AND p.tuples_processed IS NOT NULL
