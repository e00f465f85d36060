-- Objects that can prevent rows of the table $1 (a quoted, qualified name) from being added, changed or deleted, on it and on its
-- partitions: the row triggers that fire before the events in $2 (bits of pg_trigger.tgtype: 4 INSERT, 8 DELETE, 16 UPDATE) or instead of
-- them and may return NULL, the rules on the events in $3 (values of pg_rewrite.ev_type), and foreign tables, whose servers may have
-- triggers and rules, too.
WITH reached AS (
    SELECT pg_catalog.to_regclass($1)::oid AS oid
    UNION
    SELECT relid::oid FROM pg_catalog.pg_partition_tree(pg_catalog.to_regclass($1))
), named AS (
    SELECT c.oid, c.relkind, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name
    FROM reached r
    JOIN pg_catalog.pg_class c ON c.oid = r.oid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
)
SELECT pg_catalog.format('trigger %I on %s', t.tgname, n.name) AS cause,
       pg_catalog.format('ALTER TABLE %s DISABLE TRIGGER %I', n.name, t.tgname) AS remedy
FROM named n
JOIN pg_catalog.pg_trigger t ON t.tgrelid = n.oid
WHERE t.tgenabled IN ('O', 'A') AND t.tgtype & 1 <> 0 AND t.tgtype & 66 <> 0 AND t.tgtype & $2::int4 <> 0
UNION ALL
SELECT pg_catalog.format('rule %I on %s', r.rulename, n.name),
       pg_catalog.format('ALTER TABLE %s DISABLE RULE %I', n.name, r.rulename)
FROM named n
JOIN pg_catalog.pg_rewrite r ON r.ev_class = n.oid
WHERE r.ev_enabled IN ('O', 'A') AND pg_catalog.strpos($3, r.ev_type::text) > 0
UNION ALL
SELECT pg_catalog.format('foreign table %s on server %I', n.name, s.srvname),
       'look at triggers and rules of the remote table'
FROM named n
JOIN pg_catalog.pg_foreign_table f ON f.ftrelid = n.oid
JOIN pg_catalog.pg_foreign_server s ON s.oid = f.ftserver
ORDER BY 1
