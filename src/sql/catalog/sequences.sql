-- Every sequence, the table that owns it, if one does (deptype a: OWNED BY, i: identity), and the tables with defaults that call it.
SELECT c.oid AS oid,
       n.nspname::text AS schema,
       c.relname::text AS name,
       d.refobjid AS owner_relation,
       ARRAY(SELECT DISTINCT f.adrelid FROM pg_catalog.pg_depend u JOIN pg_catalog.pg_attrdef f ON f.oid = u.objid
             WHERE u.refclassid = 'pg_catalog.pg_class'::regclass AND u.refobjid = c.oid
               AND u.classid = 'pg_catalog.pg_attrdef'::regclass ORDER BY 1) AS used_by,
       coalesce(d.deptype = 'i', false) AS is_identity,
       coalesce(pg_catalog.has_sequence_privilege(c.oid, 'SELECT'), false) AS may_select,
       x.extname::text AS extension
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_depend d
       ON d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid
      AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.deptype IN ('a', 'i')
LEFT JOIN pg_catalog.pg_depend m
       ON m.classid = 'pg_catalog.pg_class'::regclass AND m.objid = c.oid AND m.deptype = 'e'
LEFT JOIN pg_catalog.pg_extension x ON x.oid = m.refobjid
WHERE c.relkind = 'S' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND c.relpersistence <> 't'
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
