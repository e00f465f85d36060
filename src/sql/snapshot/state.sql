-- The history in which the transactions of a snapshot are numbered. A standby that was promoted before it had received all transactions
-- assigns their numbers again: the timeline distinguishes it from the former primary, and the server's start from another standby on the
-- same timeline.
SELECT CASE WHEN pg_catalog.pg_is_in_recovery()
    THEN extract(epoch FROM pg_catalog.clock_timestamp())::text
    ELSE left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 8)
        || '/' || extract(epoch FROM pg_catalog.pg_postmaster_start_time())::text
END
