-- Sessions that hold, or wait for, the only lock mode on a table that blocks readers; the holder first. A prepared transaction has no
-- session.
-- psql sets the table with  -v table="'public.t'".
SELECT coalesce(l.pid::text, ''), coalesce(a.usename::text, a.backend_type, ''), coalesce(a.application_name, '')
FROM pg_catalog.pg_locks l
JOIN pg_catalog.pg_database d ON d.oid = l.database AND d.datname = pg_catalog.current_database()
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock'
  AND l.relation = pg_catalog.to_regclass(:table) AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
ORDER BY l.granted DESC, l.pid
LIMIT 1
