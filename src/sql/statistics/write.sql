-- Sets the planner statistics of relation $1.$2 to $3 (a JSON array of read.sql's objects, or NULL), which a server of version $4 gathered
-- over $5 rows, and returns whether the server accepted them all (18 or newer;
-- https://www.postgresql.org/docs/18/functions-admin.html#FUNCTIONS-ADMIN-STATSMOD). An argument that is NULL counts as absent. Indexes
-- that the target lacks are skipped. Pages are counted here, because the copy has none of the source's free space and the planner
-- calculates with rows per page; if an index build has counted pages and rows already, its count is kept.
WITH given AS (
    SELECT * FROM pg_catalog.json_to_recordset($3::text::pg_catalog.json) AS g(
        schema text, name text, attname text, attnum int2, inherited bool, null_frac real, avg_width int4, n_distinct real,
        most_common_vals text, most_common_freqs real[], histogram_bounds text, correlation real,
        most_common_elems text, most_common_elem_freqs real[], elem_count_histogram real[],
        range_length_histogram text, range_empty_frac real, range_bounds_histogram text
    )
), taken AS (
    SELECT CASE WHEN pg_catalog.to_regclass(pg_catalog.format('%I.%I', schema, name)) IS NULL THEN true
           ELSE pg_catalog.pg_restore_attribute_stats(
               'schemaname', schema, 'relname', name, 'attname', attname, 'attnum', attnum, 'inherited', inherited,
               'version', $4::int4, 'null_frac', null_frac, 'avg_width', avg_width, 'n_distinct', n_distinct,
               'most_common_vals', most_common_vals, 'most_common_freqs', most_common_freqs,
               'histogram_bounds', histogram_bounds, 'correlation', correlation,
               'most_common_elems', most_common_elems, 'most_common_elem_freqs', most_common_elem_freqs,
               'elem_count_histogram', elem_count_histogram, 'range_length_histogram', range_length_histogram,
               'range_empty_frac', range_empty_frac, 'range_bounds_histogram', range_bounds_histogram)
           END AS is_taken
    FROM given
    UNION ALL
    SELECT pg_catalog.pg_restore_relation_stats(
               'schemaname', $1::text, 'relname', $2::text, 'version', $4::int4, 'relpages', c.pages, 'reltuples', $5::float8::real)
    FROM (
        SELECT reltuples, relpages, CASE relkind WHEN 'p' THEN -1 ELSE
                   (pg_catalog.pg_relation_size(oid) / pg_catalog.current_setting('block_size')::int8)::int4 END AS pages
        FROM pg_catalog.pg_class
        WHERE oid = pg_catalog.to_regclass(pg_catalog.format('%I.%I', $1::text, $2::text))
    ) c
    WHERE c.reltuples < 0 OR c.relpages <> c.pages
)
SELECT coalesce(bool_and(is_taken), true) FROM taken
