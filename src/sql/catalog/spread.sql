-- The distribution of the values of an integer column, for one table's own rows: $1 schema, $2 table, $3 column. The common values are not
-- in the histogram (https://www.postgresql.org/docs/current/view-pg-stats.html).
SELECT s.null_frac::float8 AS nulls,
       coalesce(s.correlation, 0)::float8 AS correlation,
       coalesce(s.histogram_bounds::text::int8[], '{}') AS histogram,
       coalesce(s.most_common_vals::text::int8[], '{}') AS common_values,
       coalesce(s.most_common_freqs::float8[], '{}') AS common_shares
FROM pg_catalog.pg_stats s
WHERE s.schemaname = $1 AND s.tablename = $2 AND s.attname = $3 AND NOT s.inherited
