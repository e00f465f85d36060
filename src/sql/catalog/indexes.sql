-- Every index: its table, whether it is valid, and its statement with all names qualified (search_path is empty). An index is builtin when
-- it depends on its table's columns and on no other object that was made in the database. A unique index is an arbiter when ON CONFLICT can
-- use its columns: plain columns, no predicate, checked at once.
SELECT i.indexrelid AS oid,
       n.nspname::text AS schema,
       c.relname::text AS name,
       i.indrelid AS relation,
       i.indisunique AS is_unique,
       i.indisprimary AS is_primary,
       i.indisvalid AND i.indisready AS is_valid,
       i.indisclustered AS is_clustered,
       i.indisreplident AS is_replica_identity,
       i.indisunique AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indisvalid AS is_arbiter,
       i.indisunique AND NOT i.indimmediate OR i.indisexclusion AS blocks_arbiters,
       c.relispartition AS is_attached,
       -- No catalog records what belongs to the server itself. A column of a user-defined type may compare its parts by an operator class
       -- that is found only when rows are compared; an enum has none.
       i.indexprs IS NULL AND i.indpred IS NULL
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                       WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = i.indexrelid
                         AND d.refclassid NOT IN ('pg_catalog.pg_class'::regclass, 'pg_catalog.pg_constraint'::regclass))
       AND NOT EXISTS (SELECT FROM unnest(i.indkey::int2[]) k(attnum)
                       JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
                       JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
                       WHERE t.oid >= 16384 AND t.typtype <> 'e') AS is_builtin,
       CASE WHEN c.relkind = 'i' THEN coalesce(pg_catalog.pg_relation_size(c.oid), 0) ELSE 0 END AS bytes,
       ARRAY(SELECT a.attname::text FROM unnest(i.indkey[0:i.indnkeyatts - 1]) WITH ORDINALITY k(attnum, position)
             JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum ORDER BY k.position) AS columns,
       NOT EXISTS (SELECT FROM unnest(i.indkey[0:i.indnkeyatts - 1]) k(attnum)
                   JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
                   WHERE NOT a.attnotnull OR EXISTS (
                       SELECT FROM pg_catalog.pg_constraint v
                       WHERE v.conrelid = a.attrelid AND v.contype = 'n' AND NOT v.convalidated AND v.conkey[1] = a.attnum)
                  ) AS is_not_null,
       coalesce(pg_catalog.pg_get_indexdef(i.indexrelid), '') AS statement
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
