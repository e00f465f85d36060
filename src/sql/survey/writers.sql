-- The other sessions of this database whose open transaction writes: it has a number of its own, which PostgreSQL assigns on the first
-- write and which every role sees as a lock, or it holds a lock on a table or sequence of users in the mode of writers, ROW EXCLUSIVE or
-- stronger (https://www.postgresql.org/docs/current/explicit-locking.html). Only monitors see client and state of other roles' sessions.
-- Processes of the server itself, such as autovacuum, have no role and do not count.
SELECT a.pid AS pid,
       coalesce(a.usename::text, '') AS role,
       coalesce(a.application_name, '') AS application,
       coalesce(CASE WHEN a.client_port = -1 THEN 'local' ELSE host(a.client_addr) END, '') AS client,
       coalesce(a.state, 'state not shown') AS state,
       coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::float8 AS seconds
FROM pg_catalog.pg_stat_activity a
WHERE a.datname = current_database()
  AND a.usesysid IS NOT NULL
  AND coalesce(a.backend_type, '') <> 'parallel worker'
  AND a.pid <> pg_catalog.pg_backend_pid()
  AND EXISTS (SELECT FROM pg_catalog.pg_locks l
              LEFT JOIN pg_catalog.pg_database d ON d.oid = l.database
              LEFT JOIN pg_catalog.pg_class c ON c.oid = l.relation AND d.datname = current_database()
              LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
              WHERE l.pid = a.pid
                AND (l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock' AND l.granted
                     OR l.locktype = 'relation' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
                        AND l.mode IN ('RowExclusiveLock', 'ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock',
                                       'ExclusiveLock', 'AccessExclusiveLock')))
ORDER BY a.pid
