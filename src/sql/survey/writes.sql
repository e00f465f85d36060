-- The number of rows ever written to the tables of this database, as far as sessions have reported: each reports at most once a second, and
-- the rest when it ends or, from 15 on, after ten seconds of idleness (https://www.postgresql.org/docs/current/monitoring-stats.html).
-- Catalogs are left out, because ANALYZE writes there, and so are temporary tables.
SELECT coalesce(sum(pg_catalog.pg_stat_get_tuples_inserted(c.oid)
                    + pg_catalog.pg_stat_get_tuples_updated(c.oid)
                    + pg_catalog.pg_stat_get_tuples_deleted(c.oid)), 0)::int8 AS rows,
       pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::int8 AS next_transaction,
       current_setting('track_counts')::bool AS is_counted,
       pg_catalog.pg_is_in_recovery() AS in_recovery
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r'
  AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
