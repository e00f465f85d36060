-- Keys, exclusion and foreign-key constraints. conperiod (18) and conenforced (18) are read through JSON because older catalogs
-- lack them.
SELECT c.oid AS oid,
       c.conname::text AS name,
       c.contype::text AS kind,
       c.conrelid AS relation,
       c.confrelid AS referenced,
       c.conindid AS index,
       c.conparentid <> 0 AS is_inherited,
       c.convalidated AS is_validated,
       c.condeferrable AS is_deferrable,
       c.condeferred AS is_deferred,
       coalesce((to_jsonb(c) ->> 'conperiod')::bool, false) AS is_temporal,
       coalesce((to_jsonb(c) ->> 'conenforced')::bool, true) AS is_enforced,
       coalesce(pg_catalog.pg_get_constraintdef(c.oid), '') AS definition,
       ARRAY(SELECT a.attname::text FROM unnest(c.conkey) WITH ORDINALITY k(attnum, position)
             JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum ORDER BY k.position) AS columns,
       ARRAY(SELECT a.attname::text FROM unnest(c.confkey) WITH ORDINALITY k(attnum, position)
             JOIN pg_catalog.pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.attnum ORDER BY k.position) AS referenced_columns
FROM pg_catalog.pg_constraint c
JOIN pg_catalog.pg_class t ON t.oid = c.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
WHERE c.contype IN ('p', 'u', 'x', 'f')
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY c.conrelid, c.conname COLLATE "C"
