-- The progress of index builds in pgmigrate's sessions on this database: the task by their application_name, and the counters of the stage
-- (https://www.postgresql.org/docs/current/progress-reporting.html#CREATE-INDEX-PROGRESS-REPORTING).
SELECT pg_catalog.substr(a.application_name, 11) AS task,
       p.phase,
       coalesce(CASE WHEN p.tuples_total > 0 THEN p.tuples_done ELSE p.blocks_done END, 0) AS done,
       coalesce(CASE WHEN p.tuples_total > 0 THEN p.tuples_total ELSE p.blocks_total END, 0) AS total
FROM pg_catalog.pg_stat_progress_create_index p
JOIN pg_catalog.pg_stat_activity a ON a.pid = p.pid
WHERE p.datname = pg_catalog.current_database() AND a.application_name LIKE 'pgmigrate %' AND p.phase IS NOT NULL
