-- Objects of this database whose catalog rows were written, from a horizon on, by transactions that the ledger does not know: what other
-- sessions have made, altered, granted or commented on. A task's effect and its ledger row are one transaction, so the xmin values of the
-- ledger's rows are the transactions of runs. What a run did in a subtransaction has an xmin of its own, so an object counts as the run's
-- if any row that belongs to it has a known one; the names of a run's tasks identify what then remains of its own work.
-- $1: the horizon; $2: the schema of the ledger. :"known" gives the known transactions.
-- Rows that the server changes in place, such as those of VACUUM and ANALYZE, keep their xmin.
WITH known (x) AS (
    :"known"
), change (classid, objid, relid, what, x) AS (
    SELECT 'pg_catalog.pg_class'::regclass::oid, c.oid, c.oid, '', c.xmin FROM pg_catalog.pg_class c
    UNION ALL
    SELECT 'pg_catalog.pg_class'::regclass, a.attrelid, a.attrelid, '', a.xmin FROM pg_catalog.pg_attribute a WHERE a.attnum > 0
    UNION ALL
    SELECT 'pg_catalog.pg_class'::regclass, d.adrelid, d.adrelid, '', d.xmin FROM pg_catalog.pg_attrdef d
    UNION ALL
    SELECT 'pg_catalog.pg_class'::regclass, i.indexrelid, i.indexrelid, '', i.xmin FROM pg_catalog.pg_index i
    UNION ALL
    SELECT 'pg_catalog.pg_class'::regclass, i.inhrelid, i.inhrelid, '', i.xmin FROM pg_catalog.pg_inherits i
    UNION ALL
    SELECT 'pg_catalog.pg_class'::regclass, p.partrelid, p.partrelid, '', p.xmin FROM pg_catalog.pg_partitioned_table p
    UNION ALL
    SELECT 'pg_catalog.pg_class'::regclass, s.seqrelid, s.seqrelid, '', s.xmin FROM pg_catalog.pg_sequence s
    UNION ALL
    SELECT 'pg_catalog.pg_class'::regclass, f.ftrelid, f.ftrelid, '', f.xmin FROM pg_catalog.pg_foreign_table f
    UNION ALL
    SELECT CASE r.rulename WHEN '_RETURN' THEN 'pg_catalog.pg_class'::regclass ELSE 'pg_catalog.pg_rewrite'::regclass END,
           CASE r.rulename WHEN '_RETURN' THEN r.ev_class ELSE r.oid END, r.ev_class, '', r.xmin
    FROM pg_catalog.pg_rewrite r
    UNION ALL
    -- The server makes and drops its own triggers of foreign keys with these; that they are disabled is a change of the table.
    SELECT CASE WHEN t.tgisinternal THEN 'pg_catalog.pg_class'::regclass ELSE 'pg_catalog.pg_trigger'::regclass END,
           CASE WHEN t.tgisinternal THEN t.tgrelid ELSE t.oid END, t.tgrelid, '', t.xmin
    FROM pg_catalog.pg_trigger t WHERE NOT t.tgisinternal OR t.tgenabled <> 'O'
    UNION ALL
    SELECT 'pg_catalog.pg_constraint'::regclass, c.oid, c.conrelid, '', c.xmin FROM pg_catalog.pg_constraint c
    UNION ALL
    SELECT 'pg_catalog.pg_policy'::regclass, p.oid, p.polrelid, '', p.xmin FROM pg_catalog.pg_policy p
    UNION ALL
    SELECT 'pg_catalog.pg_statistic_ext'::regclass, s.oid, s.stxrelid, '', s.xmin FROM pg_catalog.pg_statistic_ext s
    UNION ALL
    SELECT CASE WHEN r.relid <> 0 THEN 'pg_catalog.pg_class'::regclass ELSE 'pg_catalog.pg_type'::regclass END,
           CASE WHEN r.relid <> 0 THEN r.relid ELSE coalesce(e.oid, t.oid) END, r.relid, '', t.xmin
    FROM pg_catalog.pg_type t
    LEFT JOIN pg_catalog.pg_type e ON e.typarray = t.oid
    CROSS JOIN LATERAL (SELECT coalesce(e.typrelid, t.typrelid)) r (relid)
    UNION ALL
    SELECT 'pg_catalog.pg_type'::regclass, e.enumtypid, 0, '', e.xmin FROM pg_catalog.pg_enum e
    UNION ALL
    SELECT 'pg_catalog.pg_type'::regclass, r.rngtypid, 0, '', r.xmin FROM pg_catalog.pg_range r
    UNION ALL
    SELECT 'pg_catalog.pg_proc'::regclass, p.oid, 0, '', p.xmin FROM pg_catalog.pg_proc p
    UNION ALL
    SELECT 'pg_catalog.pg_proc'::regclass, a.aggfnoid, 0, '', a.xmin FROM pg_catalog.pg_aggregate a
    UNION ALL
    SELECT 'pg_catalog.pg_operator'::regclass, o.oid, 0, '', o.xmin FROM pg_catalog.pg_operator o
    UNION ALL
    SELECT 'pg_catalog.pg_opclass'::regclass, o.oid, 0, '', o.xmin FROM pg_catalog.pg_opclass o
    UNION ALL
    SELECT 'pg_catalog.pg_opfamily'::regclass, o.oid, 0, '', o.xmin FROM pg_catalog.pg_opfamily o
    UNION ALL
    SELECT 'pg_catalog.pg_opfamily'::regclass, a.amopfamily, 0, '', a.xmin FROM pg_catalog.pg_amop a
    UNION ALL
    SELECT 'pg_catalog.pg_opfamily'::regclass, a.amprocfamily, 0, '', a.xmin FROM pg_catalog.pg_amproc a
    UNION ALL
    SELECT 'pg_catalog.pg_cast'::regclass, c.oid, 0, '', c.xmin FROM pg_catalog.pg_cast c
    UNION ALL
    SELECT 'pg_catalog.pg_conversion'::regclass, c.oid, 0, '', c.xmin FROM pg_catalog.pg_conversion c
    UNION ALL
    SELECT 'pg_catalog.pg_collation'::regclass, c.oid, 0, '', c.xmin FROM pg_catalog.pg_collation c
    UNION ALL
    SELECT 'pg_catalog.pg_namespace'::regclass, n.oid, 0, '', n.xmin FROM pg_catalog.pg_namespace n WHERE n.nspname !~ '^pg_'
    UNION ALL
    SELECT 'pg_catalog.pg_language'::regclass, l.oid, 0, '', l.xmin FROM pg_catalog.pg_language l
    UNION ALL
    SELECT 'pg_catalog.pg_am'::regclass, a.oid, 0, '', a.xmin FROM pg_catalog.pg_am a
    UNION ALL
    SELECT 'pg_catalog.pg_transform'::regclass, t.oid, 0, '', t.xmin FROM pg_catalog.pg_transform t
    UNION ALL
    SELECT 'pg_catalog.pg_ts_config'::regclass, t.oid, 0, '', t.xmin FROM pg_catalog.pg_ts_config t
    UNION ALL
    SELECT 'pg_catalog.pg_ts_config'::regclass, t.mapcfg, 0, '', t.xmin FROM pg_catalog.pg_ts_config_map t
    UNION ALL
    SELECT 'pg_catalog.pg_ts_dict'::regclass, t.oid, 0, '', t.xmin FROM pg_catalog.pg_ts_dict t
    UNION ALL
    SELECT 'pg_catalog.pg_ts_parser'::regclass, t.oid, 0, '', t.xmin FROM pg_catalog.pg_ts_parser t
    UNION ALL
    SELECT 'pg_catalog.pg_ts_template'::regclass, t.oid, 0, '', t.xmin FROM pg_catalog.pg_ts_template t
    UNION ALL
    SELECT 'pg_catalog.pg_foreign_data_wrapper'::regclass, f.oid, 0, '', f.xmin FROM pg_catalog.pg_foreign_data_wrapper f
    UNION ALL
    SELECT 'pg_catalog.pg_foreign_server'::regclass, f.oid, 0, '', f.xmin FROM pg_catalog.pg_foreign_server f
    UNION ALL
    SELECT 'pg_catalog.pg_event_trigger'::regclass, e.oid, 0, '', e.xmin FROM pg_catalog.pg_event_trigger e
    UNION ALL
    SELECT 'pg_catalog.pg_publication'::regclass, p.oid, 0, '', p.xmin FROM pg_catalog.pg_publication p
    UNION ALL
    SELECT 'pg_catalog.pg_publication_rel'::regclass, p.oid, p.prrelid, '', p.xmin FROM pg_catalog.pg_publication_rel p
    UNION ALL
    SELECT 'pg_catalog.pg_default_acl'::regclass, d.oid, 0, '', d.xmin FROM pg_catalog.pg_default_acl d
    UNION ALL
    SELECT 'pg_catalog.pg_extension'::regclass, e.oid, 0, '', e.xmin FROM pg_catalog.pg_extension e
    UNION ALL
    SELECT 'pg_catalog.pg_largeobject'::regclass, l.oid, 0, '', l.xmin FROM pg_catalog.pg_largeobject_metadata l
    UNION ALL
    SELECT 'pg_catalog.pg_database'::regclass, d.oid, 0, '', d.xmin FROM pg_catalog.pg_database d WHERE d.datname = current_database()
    UNION ALL
    SELECT 'pg_catalog.pg_database'::regclass, s.setdatabase, 0, 'a setting of ', s.xmin
    FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase WHERE d.datname = current_database()
    UNION ALL
    SELECT s.classoid, s.objoid, 0, 'the comment on ', s.xmin
    FROM pg_catalog.pg_shdescription s JOIN pg_catalog.pg_database d ON d.oid = s.objoid
    WHERE s.classoid = 'pg_catalog.pg_database'::regclass AND d.datname = current_database()
    UNION ALL
    SELECT d.classoid, d.objoid, CASE d.classoid WHEN 'pg_catalog.pg_class'::regclass THEN d.objoid ELSE 0 END, 'the comment on ', d.xmin
    FROM pg_catalog.pg_description d
    UNION ALL
    SELECT s.classoid, s.objoid, CASE s.classoid WHEN 'pg_catalog.pg_class'::regclass THEN s.objoid ELSE 0 END, 'the label of ', s.xmin
    FROM pg_catalog.pg_seclabel s
    UNION ALL
    -- Kinds whose catalog does not exist in every version or cannot be read by every role.
    SELECT d.classid, d.objid, 0, '', d.xmin
    FROM pg_catalog.pg_depend d
    WHERE d.classid IN (pg_catalog.to_regclass('pg_catalog.pg_publication_namespace'), 'pg_catalog.pg_user_mapping'::regclass)
), since AS (
    SELECT c.*, k.x IS NOT NULL AS is_known
    FROM change c
    LEFT JOIN known k ON k.x = c.x::text
    WHERE pg_catalog.age(c.x) BETWEEN 0 AND pg_catalog.age(($1::int8 % 4294967296)::text::xid)
), made (classid, objid) AS (
    SELECT d.classid, d.objid FROM pg_catalog.pg_depend d JOIN known k ON k.x = d.xmin::text
    WHERE pg_catalog.age(d.xmin) BETWEEN 0 AND pg_catalog.age(($1::int8 % 4294967296)::text::xid)
    UNION
    SELECT d.classid, d.objid FROM pg_catalog.pg_shdepend d JOIN known k ON k.x = d.xmin::text
    WHERE d.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
      AND pg_catalog.age(d.xmin) BETWEEN 0 AND pg_catalog.age(($1::int8 % 4294967296)::text::xid)
), own (classid, objid) AS (
    SELECT s.classid, s.objid FROM since s WHERE s.is_known AND s.what = ''
    UNION
    SELECT m.classid, m.objid FROM made m
), others AS (
    SELECT s.what, s.classid, s.objid, s.relid, e.refobjid AS extension
    FROM since s
    LEFT JOIN pg_catalog.pg_class c ON c.oid = s.relid
    LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_depend e ON e.classid = s.classid AND e.objid = s.objid AND e.objsubid = 0 AND e.deptype = 'e'
    WHERE NOT s.is_known
      AND NOT EXISTS (SELECT FROM own o WHERE o.classid = s.classid AND o.objid = s.objid)
      -- A part of a table that the run has made.
      AND NOT EXISTS (SELECT FROM made m WHERE m.classid = 'pg_catalog.pg_class'::regclass AND m.objid = s.relid)
      AND NOT EXISTS (SELECT FROM own o WHERE o.classid = e.refclassid AND o.objid = e.refobjid)
      AND (n.oid IS NULL OR n.nspname !~ '^pg_' AND NOT (n.nspname = $2 AND c.relname ~ '^migration_(run|task|snapshot|foreign_key|plan|procedure|due)(_|$)'))
)
SELECT DISTINCT CASE WHEN o.extension IS NULL THEN o.classid ELSE 'pg_catalog.pg_extension'::regclass::oid END AS catalog, coalesce(o.extension, o.objid) AS oid,
       o.what || CASE WHEN o.extension IS NULL THEN pg_catalog.pg_describe_object(o.classid, o.objid, 0)
                          ELSE pg_catalog.pg_describe_object('pg_catalog.pg_extension'::regclass, o.extension, 0) END AS object,
       i.type AS kind, i.identity AS identity, t.identity AS of_table
FROM others o
-- The description of an object is in the server's language; the identity is not.
CROSS JOIN LATERAL pg_catalog.pg_identify_object(o.classid, o.objid, 0) i
LEFT JOIN pg_catalog.pg_index x ON x.indexrelid = o.objid AND o.classid = 'pg_catalog.pg_class'::regclass
LEFT JOIN LATERAL (SELECT coalesce(x.indrelid, o.relid)) r (relid) ON true
LEFT JOIN LATERAL pg_catalog.pg_identify_object('pg_catalog.pg_class'::regclass, r.relid, 0) t ON r.relid <> 0
ORDER BY 3
