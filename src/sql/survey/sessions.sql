-- The other client sessions in this database. Only monitors see the state and the kind of other roles' sessions; every role sees which
-- transactions have written, by the lock on a transaction's own number.
SELECT a.pid AS pid,
       coalesce(a.usename::text, '') AS role,
       coalesce(a.application_name, '') AS application,
       coalesce(a.state, 'state not shown') AS state,
       EXISTS (SELECT FROM pg_catalog.pg_locks l
               WHERE l.pid = a.pid AND l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock' AND l.granted) AS is_writing,
       coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::float8 AS seconds
FROM pg_catalog.pg_stat_activity a
WHERE a.datname = current_database()
  AND a.usesysid IS NOT NULL
  AND coalesce(a.backend_type, 'client backend') = 'client backend'
  AND a.pid <> pg_catalog.pg_backend_pid()
  -- The session of a safe procedure only holds its lock (class "pgmi", key 6).
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_locks l
                  WHERE l.pid = a.pid AND l.locktype = 'advisory' AND l.granted
                    AND l.classid::int8 = 1885826409 AND l.objid::int8 = 6)
ORDER BY a.pid
