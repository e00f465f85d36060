-- Properties that decide how staged rows are added to the table $1 (a quoted, qualified name), whose rows the columns $2 (quoted) identify.
SELECT CASE WHEN c.relkind = 'p' THEN '' ELSE 'ONLY ' END AS "only",
       -- A rule on UPDATE makes ON CONFLICT fail even if the rule is disabled.
       ARRAY(SELECT pg_catalog.quote_ident(r.rulename) FROM pg_catalog.pg_rewrite r
             WHERE r.ev_class = c.oid AND (r.ev_type = '2' OR r.ev_type = '3' AND r.ev_enabled IN ('O', 'A'))
             ORDER BY r.rulename) AS rules,
       -- The equality operators of types that come with the server are found without a search path.
       (SELECT coalesce(bool_and(b.oid < 16384 OR b.typtype = 'e'), false)
        FROM pg_catalog.pg_attribute a
        JOIN pg_catalog.pg_type b ON b.oid = a.atttypid
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped 
          AND '"' || replace(a.attname::text, '"', '""') || '"' = ANY ($2)
       ) AS is_built_in,
       -- The stage has no values in generated columns of the table.
       (SELECT pg_catalog.string_agg(
                   coalesce('(' || pg_catalog.pg_get_expr(d.adbin, d.adrelid) || ') AS ', '') || pg_catalog.quote_ident(a.attname),
                   ', ' ORDER BY a.attnum)
        FROM pg_catalog.pg_attribute a
        LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.attgenerated <> ''
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS staged
FROM pg_catalog.pg_class c
WHERE c.oid = pg_catalog.to_regclass($1)
