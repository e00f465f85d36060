-- The ledger: what each run did on this target. A task's effect and its row here are committed in one transaction.
-- The schema's name is configurable; psql sets it with  -v ledger=pgmigrate.
CREATE TABLE IF NOT EXISTS :"ledger".migration_run (
    run         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    plan        text        NOT NULL,
    source      text        NOT NULL,
    target      text        NOT NULL,
    config      text        NOT NULL,
    state       text        NOT NULL CHECK (state IN ('running', 'interrupted', 'failed', 'done')),
    snapshot    text        NOT NULL,
    consistent  boolean     NOT NULL,
    started     timestamptz NOT NULL DEFAULT now(),
    finished    timestamptz,
    workers     integer     NOT NULL DEFAULT 0,
    -- The sessions of its processes on this target: pid and start of the session and of the session that holds the run's lock, and the
    -- process.
    sessions    text[]      NOT NULL DEFAULT '{}'
);
CREATE TABLE IF NOT EXISTS :"ledger".migration_task (
    run         bigint           NOT NULL REFERENCES :"ledger".migration_run,
    task        text             NOT NULL,
    phase       text             NOT NULL,
    kind        text             NOT NULL,
    object      text             NOT NULL,
    mode        text             NOT NULL,
    format      text             NOT NULL,
    status      text             NOT NULL CHECK (status IN ('pending', 'running', 'done', 'kept', 'skipped', 'failed', 'blocked')),
    planned_rows  bigint         NOT NULL,
    planned_bytes bigint         NOT NULL,
    attempts    integer          NOT NULL DEFAULT 0,
    rows        bigint           NOT NULL DEFAULT 0,
    bytes       bigint           NOT NULL DEFAULT 0,
    hash        text             NOT NULL DEFAULT '',
    snapshot    text             NOT NULL DEFAULT '',
    started     timestamptz,
    seconds     double precision NOT NULL DEFAULT 0,
    sqlstate    text             NOT NULL DEFAULT '',
    note        text             NOT NULL DEFAULT '',
    worker      integer,
    PRIMARY KEY (run, task)
);
-- Leases of snapshots of the source that processes of a run have exported. A lease is valid for as long as its backend holds the ledger's
-- advisory lock on this target; rows of dead processes have no meaning.
CREATE TABLE IF NOT EXISTS :"ledger".migration_snapshot (
    run         bigint      NOT NULL REFERENCES :"ledger".migration_run,
    backend     integer     NOT NULL,
    role        text        NOT NULL CHECK (role IN ('holder', 'part')),
    snapshot    text        NOT NULL,
    sees        text        NOT NULL,
    server      text        NOT NULL,
    announced   timestamptz NOT NULL DEFAULT now(),
    released    boolean     NOT NULL DEFAULT false,
    PRIMARY KEY (run, backend)
);
-- Foreign keys of the target's own tables that a run has dropped: a row is written in the transaction that drops a key, and deleted in the
-- one that restores it completely. is_back says that the key exists again and its rows are not checked yet.
CREATE TABLE IF NOT EXISTS :"ledger".migration_foreign_key (
    run             bigint  NOT NULL REFERENCES :"ledger".migration_run,
    table_schema    text    NOT NULL,
    table_name      text    NOT NULL,
    name            text    NOT NULL,
    definition      text    NOT NULL,
    comment         text,
    is_partitioned  boolean NOT NULL,
    checked_schema  text    NOT NULL,
    checked_table   text    NOT NULL,
    is_back         boolean NOT NULL DEFAULT false,
    PRIMARY KEY (table_schema, table_name, name)
);
-- The plan of the latest run, in pieces of its file's bytes, because the target's encoding may lack characters of the plan.
CREATE TABLE IF NOT EXISTS :"ledger".migration_plan (
    run             bigint  NOT NULL REFERENCES :"ledger".migration_run,
    piece           integer NOT NULL,
    bytes           bytea   NOT NULL,
    PRIMARY KEY (run, piece)
);
-- The journals of safe procedures on this target; the next procedure continues from the latest one. The version grows with every entry;
-- after a restore of the backup the row is as it was when the backup was made. outcome is NULL until the procedure has ended by itself.
CREATE TABLE IF NOT EXISTS :"ledger".migration_procedure (
    procedure   text        PRIMARY KEY,
    version     bigint      NOT NULL,
    outcome     text        CHECK (outcome IN ('migrated', 'restored', 'untouched', 'kept', 'not_restored')),
    journal     jsonb       NOT NULL,
    began       timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed     timestamptz NOT NULL DEFAULT clock_timestamp()
);
