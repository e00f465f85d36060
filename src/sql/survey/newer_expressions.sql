-- Expressions and queries that a server older than this one cannot parse, by the object that holds each: the columns of newer_features.sql,
-- and the built-in function that is called, whose name, arguments and their number the older server is queried for. The parsed trees are
-- searched, because strings and names cannot look like a node there (https://www.postgresql.org/docs/current/querytree.html), so a clause
-- cannot be confused with a text that reads like it. SQL/JSON constructors have other numbers from 19 on.
WITH tree (catalog, oid, whole_catalog, whole, text) AS (
    SELECT CASE r.rulename WHEN '_RETURN' THEN 'pg_catalog.pg_class'::regclass ELSE 'pg_catalog.pg_rewrite'::regclass END::oid,
           CASE r.rulename WHEN '_RETURN' THEN r.ev_class ELSE r.oid END, NULL::oid, NULL::oid, r.ev_action::text || r.ev_qual::text
    FROM pg_catalog.pg_rewrite r
    UNION ALL
    SELECT 'pg_catalog.pg_proc'::regclass, p.oid, NULL, NULL,
           coalesce(pg_catalog.to_jsonb(p) ->> 'prosqlbody', '') || coalesce(p.proargdefaults::text, '')
    FROM pg_catalog.pg_proc p
    WHERE p.oid >= 16384
    UNION ALL
    SELECT 'pg_catalog.pg_attrdef'::regclass, d.oid, 'pg_catalog.pg_class'::regclass, d.adrelid, d.adbin::text FROM pg_catalog.pg_attrdef d
    UNION ALL
    SELECT 'pg_catalog.pg_constraint'::regclass, k.oid,
           CASE k.contypid WHEN 0 THEN 'pg_catalog.pg_class'::regclass ELSE 'pg_catalog.pg_type'::regclass END,
           CASE k.contypid WHEN 0 THEN k.conrelid ELSE k.contypid END, k.conbin::text
    FROM pg_catalog.pg_constraint k
    UNION ALL
    SELECT CASE WHEN k.oid IS NULL THEN 'pg_catalog.pg_class'::regclass ELSE 'pg_catalog.pg_constraint'::regclass END,
           coalesce(k.oid, i.indexrelid), NULL, NULL, coalesce(i.indexprs::text, '') || coalesce(i.indpred::text, '')
    FROM pg_catalog.pg_index i
    LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')
    UNION ALL
    SELECT 'pg_catalog.pg_policy'::regclass, p.oid, NULL, NULL, coalesce(p.polqual::text, '') || coalesce(p.polwithcheck::text, '')
    FROM pg_catalog.pg_policy p
    UNION ALL
    SELECT 'pg_catalog.pg_trigger'::regclass, t.oid, NULL, NULL, t.tgqual::text FROM pg_catalog.pg_trigger t
    UNION ALL
    SELECT 'pg_catalog.pg_statistic_ext'::regclass, s.oid, NULL, NULL, pg_catalog.to_jsonb(s) ->> 'stxexprs'
    FROM pg_catalog.pg_statistic_ext s
    UNION ALL
    SELECT 'pg_catalog.pg_class'::regclass, t.partrelid, NULL, NULL, t.partexprs::text FROM pg_catalog.pg_partitioned_table t
    UNION ALL
    SELECT 'pg_catalog.pg_type'::regclass, t.oid, NULL, NULL, t.typdefaultbin::text FROM pg_catalog.pg_type t
    UNION ALL
    SELECT 'pg_catalog.pg_publication_rel'::regclass, r.oid, NULL, NULL, pg_catalog.to_jsonb(r) ->> 'prqual'
    FROM pg_catalog.pg_publication_rel r
), own AS MATERIALIZED (
    SELECT t.* FROM tree t
    WHERE t.oid >= 16384 AND t.text <> ''
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = t.catalog AND e.objid = t.oid AND e.deptype = 'e')
), clause (since, feature, pattern) AS (
    VALUES (14, 'SEARCH and CYCLE', '{(CTESEARCHCLAUSE|CTECYCLECLAUSE) '),
           (15, 'MERGE', '{MERGEACTION '),
           (16, 'IS JSON', '{JSONISPREDICATE '),
           (16, 'JSON_OBJECT, JSON_ARRAY and their aggregates',
            '{JSONCONSTRUCTOREXPR :type ' || CASE WHEN current_setting('server_version_num')::int < 190000 THEN '[1-4] ' ELSE '[1-5] ' END),
           (16, 'SYSTEM_USER', '{FUNCEXPR :funcid 6311 '),
           (17, 'JSON, JSON_SCALAR and JSON_SERIALIZE',
            '{JSONCONSTRUCTOREXPR :type ' || CASE WHEN current_setting('server_version_num')::int < 190000 THEN '[5-7] ' ELSE '[6-8] ' END),
           (17, 'JSON_EXISTS, JSON_QUERY, JSON_VALUE and JSON_TABLE', '{JSONEXPR '),
           (17, 'MERGE with BY SOURCE', '{MERGEACTION :matchKind 1 '),
           -- In the tree, the condition of a MERGE is before the list that is empty only for MERGE and DELETE.
           (17, 'MERGE with RETURNING',
            '} :targetList <> :override \d :onConflict <> (:returningOldAlias \S+ :returningNewAlias \S+ )?:returningList \('),
           (18, 'OLD and NEW in RETURNING', ':varreturningtype [12] '),
           (19, 'ON CONFLICT DO SELECT', '{ONCONFLICTEXPR :action 3 '),
           (19, 'IGNORE NULLS', ' :ignore_nulls 1 ')
), called AS (
    SELECT DISTINCT o.catalog, o.oid, o.whole_catalog, o.whole, m[1]::oid AS function
    FROM own o
    CROSS JOIN LATERAL pg_catalog.regexp_matches(
        -- A construct with a syntax of its own is no call, and neither is a cast.
        o.text, '{(?:FUNCEXPR :funcid (?=\d+ :funcresulttype \d+ :funcretset \w+ :funcvariadic \w+ :funcformat 0 )'
                '|AGGREF :aggfnoid |WINDOWFUNC :winfnoid )(\d+) ', 'g') m
)
SELECT o.catalog AS catalog, o.oid AS oid, o.whole_catalog AS whole_catalog, o.whole AS whole, c.since AS since, c.feature AS feature,
       NULL::text AS function, NULL::text AS arguments, NULL::int AS number, NULL::bool AS is_polymorphic
FROM own o JOIN clause c ON o.text ~ c.pattern
UNION ALL
SELECT c.catalog, c.oid, c.whole_catalog, c.whole, 0, '', p.proname, coalesce(t.list, ''), p.pronargs, coalesce(t.is_polymorphic, false)
FROM called c
JOIN pg_catalog.pg_proc p ON p.oid = c.function
CROSS JOIN LATERAL (SELECT string_agg(pg_catalog.format_type(a.oid, NULL), ', ' ORDER BY a.n), bool_or(y.typtype = 'p')
                    FROM unnest(p.proargtypes) WITH ORDINALITY a (oid, n) JOIN pg_catalog.pg_type y ON y.oid = a.oid) t (list, is_polymorphic)
WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.oid < 16384
