-- The indexes that exclude equal or conflicting rows in the table $1 (a quoted, qualified name): unique ones and those of exclusion
-- constraints. With $2, only the one of that name on the table or on one of its partitions. A key is an expression over the table's
-- columns; its operator is the one that is true for two equal (or, for an exclusion constraint, two conflicting) keys; for access methods
-- of extensions no operator is known.
SELECT pg_catalog.format('%I.%I', tn.nspname, t.relname) AS "table",
       i.indisunique AND i.indimmediate AND i.indisvalid AND NOT i.indisexclusion
           AND i.indpred IS NULL AND i.indexprs IS NULL AS is_arbiter,
       ARRAY(SELECT '"' || replace(a.attname::text, '"', '""') || '"'
             FROM unnest(i.indkey[0:i.indnkeyatts - 1]) WITH ORDINALITY k(attnum, position)
             JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum ORDER BY k.position) AS columns,
       ARRAY(SELECT pg_catalog.pg_get_indexdef(i.indexrelid, g.n, false)
                    || coalesce((SELECT pg_catalog.format(' COLLATE %I.%I', ln.nspname, l.collname)
                                 FROM pg_catalog.pg_collation l JOIN pg_catalog.pg_namespace ln ON ln.oid = l.collnamespace
                                 WHERE l.oid = i.indcollation[g.n - 1]), '')
             FROM generate_series(1, i.indnkeyatts::int4) g(n) ORDER BY g.n) AS keys,
       ARRAY(SELECT (SELECT pg_catalog.format('OPERATOR(%I.%s)', pn.nspname, p.oprname)
                     FROM pg_catalog.pg_operator p JOIN pg_catalog.pg_namespace pn ON pn.oid = p.oprnamespace
                     WHERE p.oid = coalesce(
                         (SELECT x.conexclop[g.n] FROM pg_catalog.pg_constraint x
                          WHERE x.conindid = i.indexrelid AND x.conrelid = i.indrelid AND x.contype IN ('p', 'u', 'x') AND x.conexclop IS NOT NULL),
                         (SELECT o.amopopr FROM pg_catalog.pg_opclass f
                          JOIN pg_catalog.pg_amop o ON o.amopfamily = f.opcfamily AND o.amoplefttype = f.opcintype
                              AND o.amoprighttype = f.opcintype AND o.amopstrategy = 3
                          WHERE f.oid = i.indclass[g.n - 1] AND f.opcmethod = 403)))
             FROM generate_series(1, i.indnkeyatts::int4) g(n) ORDER BY g.n) AS operators,
       pg_catalog.pg_get_expr(i.indpred, i.indrelid) AS predicate,
       coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::bool, false) AS nulls_equal
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
WHERE (i.indisunique OR i.indisexclusion)
  AND CASE WHEN $2::text IS NULL THEN i.indrelid = pg_catalog.to_regclass($1)
           ELSE c.relname = $2 AND (i.indrelid = pg_catalog.to_regclass($1)
                    OR i.indrelid IN (SELECT relid FROM pg_catalog.pg_partition_tree(pg_catalog.to_regclass($1)))) END
ORDER BY c.relname COLLATE "C"
