-- Every relation that holds or returns rows: tables (r), partitioned tables (p), views (v), materialized views (m), foreign tables (f),
-- sequences (S). Members of extensions are made by CREATE EXTENSION and are marked; those that pg_extension_config_dump() has named have a
-- condition, which may be empty (https://www.postgresql.org/docs/current/extend-extensions.html#EXTEND-EXTENSIONS-CONFIG-TABLES). Sizes are
-- read from the files, because relpages may be stale or 0 (https://www.postgresql.org/docs/current/catalog-pg-class.html). Functions return
-- NULL for objects that were dropped since the snapshot was taken.
SELECT c.oid AS oid,
       n.nspname::text AS schema,
       c.relname::text AS name,
       c.relkind::text AS kind,
       c.relpersistence::text AS persistence,
       c.relispopulated AS is_populated,
       CASE WHEN c.relispartition THEN i.inhparent END AS partition_of,
       coalesce(am.amname::text, '') AS access_method,
       CASE WHEN c.relkind IN ('r', 'm') THEN coalesce(pg_catalog.pg_relation_size(c.oid), 0) ELSE 0 END AS heap_bytes,
       CASE WHEN c.relkind IN ('r', 'm') THEN coalesce(pg_catalog.pg_table_size(c.oid), 0) ELSE 0 END AS total_bytes,
       c.reltuples::float8 AS tuples,
       c.relrowsecurity AS row_security,
       c.relforcerowsecurity AS force_row_security,
       coalesce(pg_catalog.has_schema_privilege(n.oid, 'USAGE'), false) AS may_use_schema,
       coalesce(pg_catalog.has_table_privilege(c.oid, 'SELECT'), false) AS may_select,
       pg_catalog.pg_has_role(c.relowner, 'USAGE') AS is_owner,
       x.extension AS extension,
       x.condition AS condition,
       CASE WHEN p.partstrat = 'h' THEN EXISTS (
                SELECT FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
                WHERE a.attrelid = c.oid AND a.attnum = ANY (p.partattrs) AND t.typtype = 'e') ELSE false END AS hashes_an_enum
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam
LEFT JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid AND c.relispartition
LEFT JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = c.oid
LEFT JOIN LATERAL (
    SELECT e.extname::text AS extension,
           CASE WHEN c.oid = ANY (e.extconfig) THEN coalesce(e.extcondition[array_position(e.extconfig, c.oid)], '') END AS condition
    FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
    WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
    LIMIT 1) x ON true
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
  AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
