-- Settles tasks at the end of the message that has their effects: $1 the tasks in the order of their effects, $2 other tasks that they require
-- and that were not known to be settled when the message was sent. Fails by a division by zero where one of $2 is not settled, or where one of
-- $1 is settled already; the server then undoes the whole message. The transaction of a message begins with its first statement, so now() is
-- when its first task began; its time is shared among the tasks.
-- psql sets the ledger's schema, run and worker with  -v ledger=pgmigrate -v run=1 -v worker=0.
PREPARE pgmigrate_settle (text[], text[]) AS
WITH settled AS (
    UPDATE :"ledger".migration_task t
    SET status = 'done', attempts = t.attempts + 1, worker = :worker, note = '', sqlstate = '',
        started = now() + (clock_timestamp() - now()) * (array_position($1, t.task) - 1) / cardinality($1),
        seconds = extract(epoch FROM clock_timestamp() - now())::float8 / cardinality($1)
    WHERE t.run = :run AND t.task = ANY ($1) AND t.status NOT IN ('done', 'kept', 'skipped')
      AND NOT EXISTS (SELECT FROM :"ledger".migration_task r
                      WHERE r.run = :run AND r.task = ANY ($2) AND r.status NOT IN ('done', 'kept', 'skipped'))
    RETURNING t.task
)
SELECT 1 / (count(*) = cardinality($1))::int FROM settled
