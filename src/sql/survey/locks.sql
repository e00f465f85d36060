-- Locks of other sessions on tables that block writers, and ACCESS EXCLUSIVE, which also blocks readers
-- (https://www.postgresql.org/docs/current/explicit-locking.html). A prepared transaction holds its locks without a process.
SELECT coalesce(l.pid, 0) AS pid,
       coalesce(a.usename::text, '') AS role,
       coalesce(a.application_name, '') AS application,
       n.nspname::text AS schema,
       c.relname::text AS name,
       l.mode AS mode
FROM pg_catalog.pg_locks l
JOIN pg_catalog.pg_database d ON d.oid = l.database AND d.datname = current_database()
JOIN pg_catalog.pg_class c ON c.oid = l.relation
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.granted
  AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
  AND c.relkind IN ('r', 'p')
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C", l.pid, l.mode
