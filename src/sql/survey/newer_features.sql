-- Objects that a server older than this one cannot have, each with the major version that introduced the feature and the feature's name,
-- and with the object whose statement in pg_dump may include it: a constraint's table or domain. newer_expressions.sql has those of
-- expressions. Fields that older catalogs lack are read through to_jsonb, so that one statement serves all versions.
WITH relation AS (
    SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name, c.relkind, c.relpersistence,
           c.reloptions || (SELECT t.reloptions FROM pg_catalog.pg_class t WHERE t.oid = c.reltoastrelid) AS reloptions
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
), newer_type (oid, since, feature) AS (
    SELECT t.oid, f.since, f.feature
    FROM pg_catalog.pg_type t
    JOIN (VALUES (14, 'multirange types', '{int4multirange,int8multirange,nummultirange,tsmultirange,tstzmultirange,datemultirange}'::text[]),
                 (19, 'the types oid8 and regdatabase', '{oid8,regdatabase}')) f (since, feature, names)
      ON t.typname = ANY (f.names) OR t.typelem IN (SELECT e.oid FROM pg_catalog.pg_type e
                                                    WHERE e.typname = ANY (f.names) AND e.typnamespace = t.typnamespace)
    WHERE t.typnamespace = 'pg_catalog'::regnamespace
), found (catalog, oid, object, since, feature) AS (
    SELECT 'pg_catalog.pg_class'::regclass::oid, r.oid, pg_catalog.format('%s.%I', r.name, a.attname), 18, 'virtual generated columns'
    FROM relation r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid
    WHERE a.attgenerated = 'v' AND NOT a.attisdropped
    UNION ALL
    SELECT 'pg_catalog.pg_constraint'::regclass::oid, k.oid, pg_catalog.format('%s %I', r.name, k.conname), 18, 'NOT NULL NOT VALID'
    FROM relation r JOIN pg_catalog.pg_constraint k ON k.conrelid = r.oid
    WHERE k.contype = 'n' AND NOT k.convalidated
    UNION ALL
    SELECT 'pg_catalog.pg_constraint'::regclass::oid, k.oid, pg_catalog.format('%s.%I', r.name, a.attname), 18, 'NOT NULL NO INHERIT'
    FROM relation r
    JOIN pg_catalog.pg_constraint k ON k.conrelid = r.oid
    JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum = ANY (k.conkey)
    WHERE k.contype = 'n' AND k.connoinherit
    UNION ALL
    -- The column belongs to the parent, and pg_dump writes the constraint as a line of its own.
    SELECT 'pg_catalog.pg_constraint'::regclass::oid, k.oid, pg_catalog.format('%s.%I', r.name, a.attname), 18, 'NOT NULL of inherited columns'
    FROM relation r
    JOIN pg_catalog.pg_constraint k ON k.conrelid = r.oid
    JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum = ANY (k.conkey)
    WHERE k.contype = 'n' AND k.conislocal AND NOT a.attislocal AND k.convalidated
    UNION ALL
    SELECT 'pg_catalog.pg_constraint'::regclass::oid, k.oid, pg_catalog.format('%s %I', r.name, k.conname), 17,
           'exclusion constraints of partitioned tables'
    FROM relation r JOIN pg_catalog.pg_constraint k ON k.conrelid = r.oid
    WHERE r.relkind = 'p' AND k.contype = 'x'
    UNION ALL
    SELECT 'pg_catalog.pg_class'::regclass::oid, r.oid, pg_catalog.format('%s.%I', r.name, a.attname), t.since, t.feature
    FROM relation r
    JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN newer_type t ON t.oid = a.atttypid
    UNION ALL
    SELECT 'pg_catalog.pg_type'::regclass::oid, d.oid, pg_catalog.format('%I.%I', n.nspname, d.typname), t.since, t.feature
    FROM pg_catalog.pg_type d
    JOIN pg_catalog.pg_namespace n ON n.oid = d.typnamespace
    JOIN newer_type t ON t.oid = d.typbasetype
    UNION ALL
    SELECT 'pg_catalog.pg_proc'::regclass::oid, p.oid,
           pg_catalog.format('%I.%I(%s)', n.nspname, p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid)), t.since, t.feature
    FROM pg_catalog.pg_proc p
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    JOIN newer_type t ON t.oid = ANY (coalesce(p.proallargtypes, p.proargtypes::oid[]) || p.prorettype)
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    UNION ALL
    SELECT 'pg_catalog.pg_type'::regclass::oid, t.oid, pg_catalog.format('%I.%I', n.nspname, t.typname), 14, 'multirange types'
    FROM pg_catalog.pg_type t
    JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
    WHERE t.typtype = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    UNION ALL
    SELECT 'pg_catalog.pg_class'::regclass::oid, r.oid, pg_catalog.format('%s.%I', r.name, a.attname), 14, 'COMPRESSION of columns'
    FROM relation r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid
    WHERE pg_catalog.to_jsonb(a) ->> 'attcompression' <> '' AND NOT a.attisdropped AND r.relkind IN ('r', 'p', 'm')
    UNION ALL
    SELECT 'pg_catalog.pg_class'::regclass::oid, r.oid, pg_catalog.format('%s.%I', r.name, a.attname), 15,
           'numeric with a scale below 0 or above the precision'
    FROM relation r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE a.atttypid IN ('numeric'::regtype, 'numeric[]'::regtype) AND a.atttypmod >= 4 AND r.relkind IN ('r', 'p', 'f', 'c')
      AND ((a.atttypmod - 4) & 1024 <> 0 OR (a.atttypmod - 4) & 1023 > (a.atttypmod - 4) >> 16)
    UNION ALL
    SELECT 'pg_catalog.pg_class'::regclass::oid, r.oid, r.name, f.since, f.feature
    FROM relation r
    JOIN (VALUES (18, 'storage parameters of vacuum', '^(autovacuum_vacuum_max_threshold|vacuum_max_eager_freeze_failure_rate)='),
                 (19, 'autovacuum_parallel_workers', '^autovacuum_parallel_workers=')) f (since, feature, pattern)
      ON EXISTS (SELECT FROM unnest(r.reloptions) o WHERE o ~ f.pattern)
    UNION ALL
    SELECT 'pg_catalog.pg_constraint'::regclass::oid, k.oid, pg_catalog.format('%s %I', r.name, k.conname), f.since, f.feature
    FROM relation r
    JOIN pg_catalog.pg_constraint k ON k.conrelid = r.oid
    CROSS JOIN LATERAL (SELECT pg_catalog.to_jsonb(k) AS field) j
    CROSS JOIN LATERAL (VALUES
        (18, 'NOT ENFORCED', j.field ->> 'conenforced' = 'false'),
        (18, 'WITHOUT OVERLAPS and PERIOD', j.field ->> 'conperiod' = 'true'),
        (15, 'ON DELETE SET with columns', j.field ->> 'confdelsetcols' IS NOT NULL)) f (since, feature, is_used)
    WHERE k.contype IN ('c', 'f', 'p', 'u') AND k.conparentid = 0 AND f.is_used
    UNION ALL
    SELECT CASE WHEN k.oid IS NULL THEN 'pg_catalog.pg_class'::regclass::oid ELSE 'pg_catalog.pg_constraint'::regclass::oid END,
           coalesce(k.oid, r.oid), r.name, 15, 'NULLS NOT DISTINCT'
    FROM relation r
    JOIN pg_catalog.pg_index i ON i.indexrelid = r.oid
    LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = r.oid AND k.contype = 'u'
    WHERE i.indisunique AND pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct' = 'true'
    UNION ALL
    SELECT 'pg_catalog.pg_class'::regclass::oid, r.oid, r.name, 15, 'views with security_invoker'
    FROM relation r
    WHERE r.relkind = 'v' AND EXISTS (SELECT FROM unnest(r.reloptions) o WHERE o ~ '^security_invoker=')
    UNION ALL
    SELECT 'pg_catalog.pg_class'::regclass::oid, r.oid, r.name, 15, 'unlogged sequences'
    FROM relation r
    WHERE r.relkind = 'S' AND r.relpersistence = 'u'
      -- The sequence of an identity column is made with its table.
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend i
                      WHERE i.classid = 'pg_catalog.pg_class'::regclass AND i.objid = r.oid AND i.deptype = 'i')
    UNION ALL
    SELECT 'pg_catalog.pg_proc'::regclass::oid, p.oid,
           pg_catalog.format('%I.%I(%s)', n.nspname, p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid)),
           14, 'functions with a body in standard SQL'
    FROM pg_catalog.pg_proc p
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    WHERE l.lanname = 'sql' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      AND pg_catalog.to_jsonb(p) ->> 'prosqlbody' IS NOT NULL
    UNION ALL
    SELECT 'pg_catalog.pg_proc'::regclass::oid, p.oid,
           pg_catalog.format('%I.%I(%s)', n.nspname, p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid)),
           14, 'procedures with OUT parameters'
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    WHERE p.prokind = 'p' AND 'o' = ANY (p.proargmodes) AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    UNION ALL
    SELECT 'pg_catalog.pg_statistic_ext'::regclass::oid, s.oid, pg_catalog.format('%I.%I', n.nspname, s.stxname), 14, 'statistics of expressions'
    FROM pg_catalog.pg_statistic_ext s JOIN pg_catalog.pg_namespace n ON n.oid = s.stxnamespace
    WHERE pg_catalog.to_jsonb(s) ->> 'stxexprs' IS NOT NULL
    UNION ALL
    SELECT 'pg_catalog.pg_collation'::regclass::oid, c.oid, pg_catalog.format('%I.%I', n.nspname, c.collname), f.since, f.feature
    FROM pg_catalog.pg_collation c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace
    CROSS JOIN LATERAL (VALUES
        (17, 'collations of the builtin provider', c.collprovider = 'b'),
        (16, 'collations with rules of ICU', pg_catalog.to_jsonb(c) ->> 'collicurules' IS NOT NULL)) f (since, feature, is_used)
    WHERE f.is_used AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    UNION ALL
    SELECT 'pg_catalog.pg_event_trigger'::regclass::oid, e.oid, pg_catalog.quote_ident(e.evtname), 17, 'event triggers ON login'
    FROM pg_catalog.pg_event_trigger e
    WHERE e.evtevent = 'login'
    UNION ALL
    SELECT 'pg_catalog.pg_publication'::regclass::oid, p.oid, pg_catalog.quote_ident(p.pubname), 18, 'publications with publish_generated_columns'
    FROM pg_catalog.pg_publication p
    WHERE pg_catalog.to_jsonb(p) ->> 'pubgencols' <> 'n'
    UNION ALL
    SELECT 'pg_catalog.pg_publication'::regclass::oid, p.oid, pg_catalog.quote_ident(p.pubname), 19, 'publications FOR ALL SEQUENCES'
    FROM pg_catalog.pg_publication p
    WHERE pg_catalog.to_jsonb(p) ->> 'puballsequences' = 'true'
    UNION ALL
    SELECT 'pg_catalog.pg_publication'::regclass::oid, p.oid, pg_catalog.quote_ident(p.pubname), 19, 'publications with EXCEPT'
    FROM pg_catalog.pg_publication p
    WHERE EXISTS (SELECT FROM pg_catalog.pg_publication_rel r
                  WHERE r.prpubid = p.oid AND pg_catalog.to_jsonb(r) ->> 'prexcept' = 'true')
    UNION ALL
    SELECT 'pg_catalog.pg_publication_rel'::regclass::oid, t.oid,
           pg_catalog.format('%I %s', p.pubname, r.name), 15, 'publications with row filters or column lists'
    FROM pg_catalog.pg_publication_rel t
    JOIN pg_catalog.pg_publication p ON p.oid = t.prpubid
    JOIN relation r ON r.oid = t.prrelid
    CROSS JOIN LATERAL (SELECT pg_catalog.to_jsonb(t) AS field) j
    WHERE j.field ->> 'prqual' IS NOT NULL OR j.field ->> 'prattrs' IS NOT NULL
    UNION ALL
    -- Columns are named one by one, because only superusers may read the one with the connection.
    SELECT 'pg_catalog.pg_subscription'::regclass::oid, s.oid, pg_catalog.quote_ident(s.subname), 19, 'subscriptions with SERVER'
    FROM (SELECT oid, subname, subdbid FROM pg_catalog.pg_subscription) s
    JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_subscription'::regclass AND d.objid = s.oid
                               AND d.refclassid = 'pg_catalog.pg_foreign_server'::regclass
    UNION ALL
    -- The name of a column that this server's catalog lacks refers to the column of `older`.
    SELECT 'pg_catalog.pg_subscription'::regclass::oid, s.oid, pg_catalog.quote_ident(s.subname), f.since, f.feature
    FROM (VALUES (false, 'f', 'd', false, true, false, 'any', false, false, 0, '-1'))
             AS older (subbinary, substream, subtwophasestate, subdisableonerr, subpasswordrequired, subrunasowner, suborigin, subfailover,
                       subretaindeadtuples, submaxretention, subwalrcvtimeout)
    CROSS JOIN LATERAL (
        SELECT oid, subname, subdbid, subbinary AS is_binary, substream::text AS stream, subtwophasestate::text AS two_phase,
               subdisableonerr AS disables, subpasswordrequired AS asks_password, subrunasowner AS runs_as_owner,
               suborigin AS origin, subfailover AS failover, subretaindeadtuples AS retains,
               submaxretention AS retention, subwalrcvtimeout AS timeout
        FROM pg_catalog.pg_subscription) s
    JOIN pg_catalog.pg_database d ON d.oid = s.subdbid AND d.datname = pg_catalog.current_database()
    CROSS JOIN LATERAL (VALUES
        (14, 'subscriptions with binary', s.is_binary),
        (14, 'subscriptions with streaming', s.stream IN ('t', 'true')),
        (15, 'subscriptions with two_phase', s.two_phase <> 'd'),
        (15, 'subscriptions with disable_on_error', s.disables),
        (16, 'subscriptions with streaming = parallel', s.stream = 'p'),
        (16, 'subscriptions with password_required = false', NOT s.asks_password),
        (16, 'subscriptions with run_as_owner', s.runs_as_owner),
        (16, 'subscriptions with origin', s.origin <> 'any'),
        (17, 'subscriptions with failover', s.failover),
        (19, 'subscriptions with retain_dead_tuples', s.retains OR s.retention <> 0),
        (19, 'subscriptions with wal_receiver_timeout', s.timeout <> '-1')) f (since, feature, is_used)
    WHERE f.is_used
)
SELECT f.catalog, f.oid, f.object, f.since, f.feature,
       CASE WHEN k.contypid <> 0 THEN 'pg_catalog.pg_type'::regclass WHEN k.conrelid <> 0 THEN 'pg_catalog.pg_class'::regclass END::oid AS whole_catalog,
       CASE WHEN k.contypid <> 0 THEN k.contypid ELSE k.conrelid END AS whole
FROM found f
LEFT JOIN pg_catalog.pg_constraint k ON f.catalog = 'pg_catalog.pg_constraint'::regclass AND k.oid = f.oid
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = f.catalog AND e.objid = f.oid AND e.deptype = 'e')
ORDER BY f.since DESC, f.feature COLLATE "C", f.object COLLATE "C"
