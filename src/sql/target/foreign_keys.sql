-- The foreign keys that check the rows of the tables $1.$2 (arrays of schemas and names): their own, and those of the partitioned tables
-- above them and the partitions below them. A key is left out if it is not enforced (18), if its triggers were enabled or disabled by a
-- user, or if an extension made it.
WITH chosen AS (
    SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name
    FROM unnest($1::text[], $2::text[]) AS t(schema, name)
    JOIN pg_catalog.pg_namespace n ON n.nspname = t.schema
    JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = t.name
), near AS (
    SELECT oid AS table, schema, name, 0 AS distance FROM chosen
    UNION ALL
    SELECT a.relid, schema, name, 1 FROM chosen c CROSS JOIN LATERAL pg_catalog.pg_partition_ancestors(c.oid) a
    UNION ALL
    SELECT t.relid, schema, name, 1 FROM chosen c CROSS JOIN LATERAL pg_catalog.pg_partition_tree(c.oid) t
)
SELECT DISTINCT ON (k.oid)
       k.oid,
       n.nspname::text AS schema,
       c.relname::text AS table,
       k.conname::text AS name,
       pg_catalog.pg_get_constraintdef(k.oid) AS definition,
       pg_catalog.obj_description(k.oid, 'pg_constraint') AS comment,
       c.relkind = 'p' AS is_partitioned,
       near.schema AS checked_schema,
       near.name AS checked_table,
       pg_catalog.pg_has_role(c.relowner, 'USAGE')
           AND pg_catalog.has_table_privilege(k.confrelid, 'REFERENCES')
           AND pg_catalog.has_schema_privilege(r.relnamespace, 'USAGE') AS may_drop
FROM near
JOIN pg_catalog.pg_constraint k ON k.conrelid = near.table
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class r ON r.oid = k.confrelid
WHERE k.contype = 'f' AND k.conparentid = 0
  AND coalesce((to_jsonb(k) ->> 'conenforced')::bool, true)
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgconstraint = k.oid AND t.tgenabled <> 'O')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                  WHERE d.classid = 'pg_catalog.pg_constraint'::regclass AND d.objid = k.oid AND d.deptype = 'e')
ORDER BY k.oid, near.distance, near.schema, near.name
