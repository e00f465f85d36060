-- What is computed or checked, directly or indirectly, by functions written in SQL or a procedural language: such a function may read
-- tables, and no catalog says which. Functions of the languages internal and c are assumed to read none. The walk goes from those functions
-- to what uses them (operators, casts, operator classes, aggregates, domains, views) and ends at
--   relation    a table whose rows they check, compute or place; an index; a materialized view
--   constraint  a constraint
--   analyze     a table whose extended statistics they compute
--   default     a column's default, which is used only for a column that is not copied
WITH RECURSIVE edge AS (
    -- Every object that depends on another one by pg_depend, except those that are not evaluated while rows are copied: triggers, policies,
    -- plain defaults.
    SELECT d.refclassid AS of_class, d.refobjid AS of_object, d.classid AS class, d.objid AS object
    FROM pg_catalog.pg_depend d
    WHERE d.classid IN ('pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_operator'::regclass, 'pg_catalog.pg_opclass'::regclass,
                        'pg_catalog.pg_opfamily'::regclass, 'pg_catalog.pg_amop'::regclass, 'pg_catalog.pg_amproc'::regclass,
                        'pg_catalog.pg_type'::regclass, 'pg_catalog.pg_cast'::regclass, 'pg_catalog.pg_class'::regclass,
                        'pg_catalog.pg_rewrite'::regclass, 'pg_catalog.pg_constraint'::regclass, 'pg_catalog.pg_attrdef'::regclass,
                        'pg_catalog.pg_statistic_ext'::regclass)
      AND d.refclassid IN ('pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_operator'::regclass, 'pg_catalog.pg_opclass'::regclass,
                           'pg_catalog.pg_opfamily'::regclass, 'pg_catalog.pg_type'::regclass, 'pg_catalog.pg_cast'::regclass)
      AND d.deptype <> 'e'
    UNION ALL
    -- A query that reads a view calls what the view calls.
    SELECT d.refclassid, d.refobjid, d.classid, d.objid
    FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class v ON v.oid = d.refobjid AND v.relkind = 'v'
    WHERE d.refclassid = 'pg_catalog.pg_class'::regclass
      AND d.classid IN ('pg_catalog.pg_rewrite'::regclass, 'pg_catalog.pg_proc'::regclass)
    UNION ALL
    SELECT 'pg_catalog.pg_rewrite'::regclass, r.oid, 'pg_catalog.pg_class'::regclass, r.ev_class
    FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class c ON c.oid = r.ev_class AND c.relkind IN ('v', 'm')
    UNION ALL
    -- An operator class whose functions are recorded with its family.
    SELECT 'pg_catalog.pg_amproc'::regclass, p.oid, 'pg_catalog.pg_opfamily'::regclass, p.amprocfamily FROM pg_catalog.pg_amproc p
    UNION ALL
    SELECT 'pg_catalog.pg_amop'::regclass, o.oid, 'pg_catalog.pg_opfamily'::regclass, o.amopfamily FROM pg_catalog.pg_amop o
    UNION ALL
    SELECT 'pg_catalog.pg_opfamily'::regclass, c.opcfamily, 'pg_catalog.pg_opclass'::regclass, c.oid FROM pg_catalog.pg_opclass c
    UNION ALL
    SELECT 'pg_catalog.pg_constraint'::regclass, k.oid, 'pg_catalog.pg_type'::regclass, k.contypid
    FROM pg_catalog.pg_constraint k WHERE k.contypid <> 0
    UNION ALL
    SELECT 'pg_catalog.pg_constraint'::regclass, k.oid, 'pg_catalog.pg_class'::regclass, k.conrelid
    FROM pg_catalog.pg_constraint k WHERE k.conrelid <> 0 AND k.contype = 'c'
    UNION ALL
    SELECT 'pg_catalog.pg_attrdef'::regclass, f.oid, 'pg_catalog.pg_class'::regclass, f.adrelid
    FROM pg_catalog.pg_attrdef f JOIN pg_catalog.pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum AND a.attgenerated <> ''
    UNION ALL
    -- A row of the type is checked as the table's columns are.
    SELECT 'pg_catalog.pg_class'::regclass, c.oid, 'pg_catalog.pg_type'::regclass, c.reltype
    FROM pg_catalog.pg_class c WHERE c.reltype <> 0 AND c.relkind IN ('c', 'r', 'p')
    UNION ALL
    -- The key of a partitioned table is computed for the rows of its partitions.
    SELECT 'pg_catalog.pg_class'::regclass, i.inhparent, 'pg_catalog.pg_class'::regclass, i.inhrelid
    FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relispartition AND c.relkind IN ('r', 'p')
), caller AS (
    SELECT 'pg_catalog.pg_proc'::regclass::oid AS class, p.oid AS object
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    WHERE l.lanname NOT IN ('internal', 'c') AND p.oid >= 16384
    UNION
    SELECT e.class::oid, e.object FROM caller c JOIN edge e ON e.of_class = c.class AND e.of_object = c.object
)
SELECT 'relation' AS what, r.oid AS oid, '' AS name
FROM caller c JOIN pg_catalog.pg_class r ON r.oid = c.object AND r.relkind IN ('r', 'p', 'm', 'i', 'I')
WHERE c.class = 'pg_catalog.pg_class'::regclass
UNION ALL
SELECT 'constraint', c.object, '' FROM caller c WHERE c.class = 'pg_catalog.pg_constraint'::regclass
UNION ALL
SELECT 'analyze', s.stxrelid, ''
FROM caller c JOIN pg_catalog.pg_statistic_ext s ON s.oid = c.object
WHERE c.class = 'pg_catalog.pg_statistic_ext'::regclass
UNION ALL
SELECT 'default', f.adrelid, a.attname::text
FROM caller c JOIN pg_catalog.pg_attrdef f ON f.oid = c.object
JOIN pg_catalog.pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum AND a.attgenerated = ''
WHERE c.class = 'pg_catalog.pg_attrdef'::regclass
