-- Parts of relations that statements of their own make: by kind as archives call it, each with its relation and a second relation on which
-- the statement requires a right. If an archive names no OID, schema and name are those of the entry.
SELECT p.kind AS kind, p.catalog AS catalog, p.oid AS oid, p.schema::text AS schema, p.name::text AS name, p.is_valid AS is_valid,
       rn.nspname::text AS relation_schema, r.relname::text AS relation_name,
       ot.nspname::text AS other_schema, o.relname::text AS other_name
FROM (
    SELECT 'trigger' AS kind, 'pg_catalog.pg_trigger'::regclass::oid AS catalog, t.oid AS oid, '' AS schema, t.tgname AS name,
           t.tgrelid AS relation, t.tgconstrrelid AS other, true AS is_valid
    FROM pg_catalog.pg_trigger t WHERE NOT t.tgisinternal
    UNION ALL
    SELECT 'constraint', 'pg_catalog.pg_constraint'::regclass, k.oid, '', k.conname, k.conrelid, k.confrelid, k.contype <> 'f' OR k.convalidated
    FROM pg_catalog.pg_constraint k WHERE k.conrelid <> 0
    UNION ALL
    SELECT 'index', 'pg_catalog.pg_class'::regclass, i.indexrelid, n.nspname, c.relname, i.indrelid, 0, true
    FROM pg_catalog.pg_index i
    JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    UNION ALL
    SELECT 'rule', 'pg_catalog.pg_rewrite'::regclass, r.oid, '', r.rulename, r.ev_class, 0, true
    FROM pg_catalog.pg_rewrite r WHERE r.rulename <> '_RETURN'
    UNION ALL
    SELECT 'policy', 'pg_catalog.pg_policy'::regclass, p.oid, '', p.polname, p.polrelid, 0, true FROM pg_catalog.pg_policy p
    UNION ALL
    SELECT 'statistics', 'pg_catalog.pg_statistic_ext'::regclass, s.oid, n.nspname, s.stxname, s.stxrelid, 0, true
    FROM pg_catalog.pg_statistic_ext s JOIN pg_catalog.pg_namespace n ON n.oid = s.stxnamespace
    UNION ALL
    SELECT 'default', 'pg_catalog.pg_attrdef'::regclass, d.oid, '', a.attname, d.adrelid, 0, true
    FROM pg_catalog.pg_attrdef d JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
    UNION ALL
    SELECT 'row security', 0, 0, n.nspname, c.relname, c.oid, 0, true
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relrowsecurity
    UNION ALL
    SELECT 'publication table', 'pg_catalog.pg_publication_rel'::regclass, r.oid, '', p.pubname, r.prrelid, 0, true
    FROM pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid
    UNION ALL
    -- The owner of both tables attaches a partition, and the owner of the parents makes a child.
    SELECT CASE WHEN c.relkind IN ('i', 'I') THEN 'index attach' WHEN c.relispartition THEN 'table attach' ELSE 'table' END,
           'pg_catalog.pg_class'::regclass, c.oid, n.nspname, c.relname,
           coalesce(pi.indrelid, h.inhparent),
           -- Attaching an index asks nothing of the owner of the partition.
           CASE WHEN ci.indrelid IS NULL AND c.relispartition THEN c.oid ELSE 0 END, true
    FROM pg_catalog.pg_inherits h
    JOIN pg_catalog.pg_class c ON c.oid = h.inhrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_index pi ON pi.indexrelid = h.inhparent
    LEFT JOIN pg_catalog.pg_index ci ON ci.indexrelid = h.inhrelid
    UNION ALL
    -- The statement of a table makes the sequence of an identity column; another sequence becomes OWNED BY the column later.
    SELECT CASE d.deptype WHEN 'i' THEN 'sequence' ELSE 'sequence owned by' END,
           'pg_catalog.pg_class'::regclass, c.oid, n.nspname, c.relname, d.refobjid, CASE d.deptype WHEN 'i' THEN 0 ELSE c.oid END, true
    FROM pg_catalog.pg_depend d
    JOIN pg_catalog.pg_class c ON c.oid = d.objid AND c.relkind = 'S'
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjsubid > 0
      AND d.deptype IN ('a', 'i')
) p
JOIN pg_catalog.pg_class r ON r.oid = p.relation
JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
LEFT JOIN pg_catalog.pg_class o ON o.oid = p.other
LEFT JOIN pg_catalog.pg_namespace ot ON ot.oid = o.relnamespace
WHERE rn.nspname !~ '^pg_' AND rn.nspname <> 'information_schema'
