-- The database's own counter of transactions, which decreases only if the statistics were lost or reset, and the first transaction that may
-- be at work now or begin later.
SELECT coalesce(pg_catalog.pg_stat_get_db_xact_commit(d.oid), 0) AS commits,
       coalesce(pg_catalog.pg_stat_get_db_stat_reset_time(d.oid)::text, '') AS reset,
       pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::text::int8 AS horizon,
       current_setting('track_counts')::bool AS is_counted
FROM pg_catalog.pg_database d
WHERE d.datname = current_database()
