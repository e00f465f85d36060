-- Every type that a column of a table has, by the name that format_type returns, with the types of its parts: domains with their base type,
-- arrays with their elements. A member of an extension is identified by that extension, in any schema.
WITH RECURSIVE used AS (
    SELECT DISTINCT a.atttypid AS type, a.atttypmod AS modifier
    FROM pg_catalog.pg_attribute a
    JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'f')
      AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
), step AS (
    SELECT u.type, u.modifier, u.type AS base, u.modifier AS base_modifier, '' AS brackets
    FROM used u
    UNION ALL
    SELECT s.type, s.modifier,
           CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.typelem END,
           CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE s.base_modifier END,
           CASE WHEN t.typtype = 'd' THEN s.brackets ELSE s.brackets || '[]' END
    FROM step s JOIN pg_catalog.pg_type t ON t.oid = s.base
    -- Arrays have elements and a variable length; users do not treat int2vector and oidvector as arrays.
    WHERE t.typtype = 'd' OR t.typelem <> 0 AND t.typlen = -1 AND t.oid NOT IN (22, 30)
)
SELECT pg_catalog.format_type(s.type, s.modifier) AS name,
       s.brackets,
       pg_catalog.format_type(s.base, NULL) AS base,
       pg_catalog.format_type(s.base, s.base_modifier) AS "full",
       s.base_modifier AS modifier,
       s.base < 16384 AS is_built_in,
       t.typtype::text AS kind,
       t.typcategory = 'S' AS is_string,
       coalesce((SELECT e.extname::text || '.' || t.typname::text
                 FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
                 WHERE d.classid = 'pg_catalog.pg_type'::regclass AND d.objid = t.oid
                   AND d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.deptype = 'e'), '') AS of_extension,
       ARRAY(SELECT l.enumlabel::text FROM pg_catalog.pg_enum l WHERE l.enumtypid = t.oid ORDER BY l.enumsortorder) AS labels,
       ARRAY(SELECT a.attname::text || ' ' || pg_catalog.format_type(a.atttypid, a.atttypmod)
             FROM pg_catalog.pg_attribute a
             WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) AS fields
FROM step s JOIN pg_catalog.pg_type t ON t.oid = s.base
WHERE NOT (t.typtype = 'd' OR t.typelem <> 0 AND t.typlen = -1 AND t.oid NOT IN (22, 30))
