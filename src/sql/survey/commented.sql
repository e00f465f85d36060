-- The objects that have comments, each with its schema and the tag that pg_dump uses for its comment. Objects in identified.sql are left
-- out, and so are subscriptions, whose comments pg_dump shows only to superusers. pg_dump does not write the comment of the schema public
-- if it is the initial one.
WITH comment (class, oid, part) AS (
    SELECT d.classoid, d.objoid, d.objsubid FROM pg_catalog.pg_description d
    WHERE d.objoid >= 16384
       OR d.classoid = 'pg_catalog.pg_namespace'::regclass AND d.description <> 'standard public schema'
), relation (oid, schema, name, kind) AS (
    SELECT c.oid, n.nspname, pg_catalog.quote_ident(c.relname),
           CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'S' THEN 'SEQUENCE'
                          WHEN 'i' THEN 'INDEX' WHEN 'I' THEN 'INDEX' WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
), of_relation (class, oid, relation, kind, name) AS (
    SELECT 'pg_catalog.pg_constraint'::regclass::oid, k.oid, k.conrelid, 'CONSTRAINT', k.conname FROM pg_catalog.pg_constraint k
    UNION ALL
    SELECT 'pg_catalog.pg_trigger'::regclass, t.oid, t.tgrelid, 'TRIGGER', t.tgname FROM pg_catalog.pg_trigger t
    UNION ALL
    SELECT 'pg_catalog.pg_policy'::regclass, p.oid, p.polrelid, 'POLICY', p.polname FROM pg_catalog.pg_policy p
    UNION ALL
    SELECT 'pg_catalog.pg_rewrite'::regclass, r.oid, r.ev_class, 'RULE', r.rulename FROM pg_catalog.pg_rewrite r
), object (class, oid, schema, tag) AS (
    SELECT 'pg_catalog.pg_proc'::regclass::oid, p.oid, n.nspname,
           CASE p.prokind WHEN 'p' THEN 'PROCEDURE ' WHEN 'a' THEN 'AGGREGATE ' ELSE 'FUNCTION ' END || pg_catalog.quote_ident(p.proname)
           || '(' || CASE WHEN p.prokind <> 'a' THEN pg_catalog.pg_get_function_identity_arguments(p.oid) ELSE
                          coalesce((SELECT string_agg(pg_catalog.format_type(a.type, NULL), ', ' ORDER BY a.n)
                                    FROM unnest(p.proargtypes) WITH ORDINALITY a (type, n)), '*') END || ')'
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    UNION ALL
    SELECT 'pg_catalog.pg_type'::regclass, t.oid, n.nspname,
           CASE t.typtype WHEN 'd' THEN 'DOMAIN ' ELSE 'TYPE ' END || pg_catalog.quote_ident(t.typname)
    FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
    UNION ALL
    SELECT 'pg_catalog.pg_constraint'::regclass, k.oid, n.nspname,
           'CONSTRAINT ' || pg_catalog.quote_ident(k.conname) || ' ON DOMAIN ' || pg_catalog.quote_ident(t.typname)
    FROM pg_catalog.pg_constraint k
    JOIN pg_catalog.pg_type t ON t.oid = k.contypid
    JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
    UNION ALL
    SELECT 'pg_catalog.pg_collation'::regclass, c.oid, n.nspname, 'COLLATION ' || pg_catalog.quote_ident(c.collname)
    FROM pg_catalog.pg_collation c JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace
    UNION ALL
    SELECT 'pg_catalog.pg_conversion'::regclass, c.oid, n.nspname, 'CONVERSION ' || pg_catalog.quote_ident(c.conname)
    FROM pg_catalog.pg_conversion c JOIN pg_catalog.pg_namespace n ON n.oid = c.connamespace
    UNION ALL
    SELECT 'pg_catalog.pg_statistic_ext'::regclass, s.oid, n.nspname, 'STATISTICS ' || pg_catalog.quote_ident(s.stxname)
    FROM pg_catalog.pg_statistic_ext s JOIN pg_catalog.pg_namespace n ON n.oid = s.stxnamespace
    UNION ALL
    SELECT 'pg_catalog.pg_ts_config'::regclass, c.oid, n.nspname, 'TEXT SEARCH CONFIGURATION ' || pg_catalog.quote_ident(c.cfgname)
    FROM pg_catalog.pg_ts_config c JOIN pg_catalog.pg_namespace n ON n.oid = c.cfgnamespace
    UNION ALL
    SELECT 'pg_catalog.pg_ts_dict'::regclass, d.oid, n.nspname, 'TEXT SEARCH DICTIONARY ' || pg_catalog.quote_ident(d.dictname)
    FROM pg_catalog.pg_ts_dict d JOIN pg_catalog.pg_namespace n ON n.oid = d.dictnamespace
    UNION ALL
    SELECT 'pg_catalog.pg_namespace'::regclass, n.oid, '', 'SCHEMA ' || pg_catalog.quote_ident(n.nspname) FROM pg_catalog.pg_namespace n
    UNION ALL
    SELECT 'pg_catalog.pg_extension'::regclass, e.oid, '', 'EXTENSION ' || pg_catalog.quote_ident(e.extname) FROM pg_catalog.pg_extension e
    UNION ALL
    SELECT 'pg_catalog.pg_language'::regclass, l.oid, '', 'LANGUAGE ' || pg_catalog.quote_ident(l.lanname) FROM pg_catalog.pg_language l
    UNION ALL
    SELECT 'pg_catalog.pg_foreign_data_wrapper'::regclass, f.oid, '', 'FOREIGN DATA WRAPPER ' || pg_catalog.quote_ident(f.fdwname)
    FROM pg_catalog.pg_foreign_data_wrapper f
    UNION ALL
    SELECT 'pg_catalog.pg_foreign_server'::regclass, s.oid, '', 'SERVER ' || pg_catalog.quote_ident(s.srvname) FROM pg_catalog.pg_foreign_server s
    UNION ALL
    SELECT 'pg_catalog.pg_publication'::regclass, p.oid, '', 'PUBLICATION ' || pg_catalog.quote_ident(p.pubname) FROM pg_catalog.pg_publication p
    UNION ALL
    SELECT 'pg_catalog.pg_event_trigger'::regclass, e.oid, '', 'EVENT TRIGGER ' || pg_catalog.quote_ident(e.evtname)
    FROM pg_catalog.pg_event_trigger e
)
SELECT r.schema::text AS schema, r.kind || ' ' || r.name AS tag
FROM comment c JOIN relation r ON r.oid = c.oid
WHERE c.class = 'pg_catalog.pg_class'::regclass AND c.part = 0
UNION ALL
SELECT r.schema::text, 'COLUMN ' || r.name || '.' || pg_catalog.quote_ident(a.attname)
FROM comment c
JOIN relation r ON r.oid = c.oid
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = c.part
WHERE c.class = 'pg_catalog.pg_class'::regclass
UNION ALL
SELECT r.schema::text, p.kind || ' ' || pg_catalog.quote_ident(p.name) || ' ON ' || r.name
FROM comment c
JOIN of_relation p ON p.class = c.class AND p.oid = c.oid
JOIN relation r ON r.oid = p.relation
UNION ALL
SELECT o.schema::text, o.tag
FROM comment c JOIN object o ON o.class = c.class AND o.oid = c.oid
