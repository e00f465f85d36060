-- The planner statistics of relation $1 (an OID), of its columns and of its indexes' expressions, as pg_stats shows them (18 or newer;
-- https://www.postgresql.org/docs/18/view-pg-stats.html), and whether they are current: ANALYZE would gather nothing that is missing, and
-- fewer rows have changed since than the number at which autovacuum analyzes again. A table that others inherit from has statistics over
-- all of them, which depend on which of them exist, so it is never current.
WITH relation AS (
    SELECT c.oid, n.nspname, c.relname, c.relkind, greatest(c.reltuples, 0)::pg_catalog.float8 AS tuples,
           c.relkind = 'p' AS is_partitioned, c.relhassubclass,
           CASE WHEN c.relkind = 'r' THEN pg_catalog.pg_relation_size(c.oid) END AS bytes,
           pg_catalog.current_setting('autovacuum_analyze_threshold')::pg_catalog.float8
               + pg_catalog.current_setting('autovacuum_analyze_scale_factor')::pg_catalog.float8 * greatest(c.reltuples, 0) AS slack
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = $1
), described AS (
    SELECT r.nspname, r.relname, a.attname, NULL::pg_catalog.int2 AS attnum, r.is_partitioned AS inherited
    FROM relation r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid
    WHERE a.attnum > 0 AND NOT a.attisdropped AND coalesce(a.attstattarget, -1) <> 0 AND a.attgenerated <> 'v'
    UNION ALL
    -- The names of an index's columns may differ on another server; their numbers do not.
    SELECT n.nspname, c.relname, a.attname, a.attnum, false
    FROM relation r
    JOIN pg_catalog.pg_index i ON i.indrelid = r.oid AND i.indisvalid
    JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid AND c.relkind = 'i'
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
    WHERE a.attnum <= i.indnkeyatts AND i.indkey[a.attnum - 1] = 0 AND coalesce(a.attstattarget, -1) <> 0
), statistics AS (
    SELECT count(*) = count(s.attname) AS is_complete,
           pg_catalog.json_agg(pg_catalog.json_build_object(
               'schema', d.nspname, 'name', d.relname,
               'attname', CASE WHEN d.attnum IS NULL THEN d.attname END, 'attnum', d.attnum, 'inherited', d.inherited,
               'null_frac', s.null_frac, 'avg_width', s.avg_width, 'n_distinct', s.n_distinct,
               'most_common_vals', s.most_common_vals::text, 'most_common_freqs', s.most_common_freqs,
               'histogram_bounds', s.histogram_bounds::text, 'correlation', s.correlation,
               'most_common_elems', s.most_common_elems::text, 'most_common_elem_freqs', s.most_common_elem_freqs,
               'elem_count_histogram', s.elem_count_histogram,
               'range_length_histogram', s.range_length_histogram::text, 'range_empty_frac', s.range_empty_frac,
               'range_bounds_histogram', s.range_bounds_histogram::text
           ) ORDER BY d.relname, d.attname) FILTER (WHERE s.attname IS NOT NULL) AS list
    FROM described d
    -- OFFSET keeps the conditions on names inside, because otherwise the whole view would be read and joined.
    LEFT JOIN LATERAL (
        SELECT * FROM pg_catalog.pg_stats p
        WHERE p.schemaname = d.nspname AND p.tablename = d.relname AND p.attname = d.attname AND p.inherited = d.inherited
        OFFSET 0
    ) s ON true
)
SELECT r.nspname::text AS schema, r.relname::text AS name, s.list::text AS statistics,
       CASE WHEN r.bytes = 0 THEN 0 ELSE r.tuples END AS tuples,
       CASE r.relkind
           WHEN 'r' THEN NOT r.relhassubclass AND (r.bytes = 0 OR (
               r.tuples > 0 AND s.is_complete AND pg_catalog.pg_stat_get_mod_since_analyze(r.oid) <= r.slack
               -- Without either time, the count did not begin at the last ANALYZE: on a standby, after a crash or a reset.
               AND coalesce(pg_catalog.pg_stat_get_last_analyze_time(r.oid),
                            pg_catalog.pg_stat_get_last_autoanalyze_time(r.oid)) IS NOT NULL))
           WHEN 'p' THEN below.tuples = 0 OR (
               r.tuples > 0 AND s.is_complete AND abs(below.tuples - r.tuples) <= r.slack)
           ELSE false
       END AS is_current
FROM relation r CROSS JOIN statistics s CROSS JOIN LATERAL (
    SELECT coalesce(sum(greatest(c.reltuples, 0)), 0)::pg_catalog.float8 AS tuples
    FROM pg_catalog.pg_partition_tree(r.oid) t JOIN pg_catalog.pg_class c ON c.oid = t.relid
    WHERE t.isleaf
) below
