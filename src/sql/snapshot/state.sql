-- In whose history the transactions of a snapshot have their numbers. A standby that was promoted before it had all transactions gives
-- their numbers again: the timeline tells it from the primary before, and the server's start from another standby on the same timeline.
SELECT CASE WHEN pg_catalog.pg_is_in_recovery()
    THEN extract(epoch FROM pg_catalog.clock_timestamp())::text
    ELSE left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 8)
        || '/' || extract(epoch FROM pg_catalog.pg_postmaster_start_time())::text
END
