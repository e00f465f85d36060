-- Settles a task at the end of the message that has its effect: $1 the task, $2 tasks that it requires and that were not known to be settled
-- when the message was sent. Fails by a division by zero where one of those is not settled, or where the task is settled already; the
-- server then undoes the whole message. The transaction of a message begins with its first statement, so now() is when the task began.
-- psql sets the ledger's schema, run and worker with  -v ledger=pgmigrate -v run=1 -v worker=0.
PREPARE pgmigrate_settle (text, text[]) AS
WITH settled AS (
    UPDATE :"ledger".migration_task t
    SET status = 'done', attempts = t.attempts + 1, started = now(), worker = :worker, note = '', sqlstate = '',
        seconds = extract(epoch FROM clock_timestamp() - now())::float8
    WHERE t.run = :run AND t.task = $1 AND t.status NOT IN ('done', 'kept', 'skipped')
      AND NOT EXISTS (SELECT FROM :"ledger".migration_task r
                      WHERE r.run = :run AND r.task = ANY ($2) AND r.status NOT IN ('done', 'kept', 'skipped'))
    RETURNING t.task
)
SELECT 1 / count(*) FROM settled
