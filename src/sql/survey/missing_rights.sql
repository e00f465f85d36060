-- Tables and sequences that the role may not read, each with the missing right. line holds the names by which a filter can choose it: its
-- own, those of the partitioned tables above it, and for a sequence those of the table that owns it.
SELECT c.oid AS oid,
       n.nspname::text AS schema,
       c.relname::text AS name,
       c.relkind = 'S' AS is_sequence,
       NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS lacks_usage,
       NOT m.may_select AS lacks_select,
       -- The privilege that the lock of pg_dump requires (https://www.postgresql.org/docs/current/sql-lock.html).
       c.relkind <> 'S' AND NOT pg_catalog.has_table_privilege(c.oid, 'SELECT, UPDATE, DELETE, TRUNCATE') AS lacks_lock,
       EXISTS (SELECT FROM pg_catalog.pg_depend e
               WHERE e.classid = 'pg_catalog.pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e') AS is_member,
       ARRAY(SELECT '"' || replace(ln.nspname, '"', '""') || '"."' || replace(lc.relname, '"', '""') || '"'
             FROM pg_catalog.pg_class lc JOIN pg_catalog.pg_namespace ln ON ln.oid = lc.relnamespace
             WHERE lc.oid IN (SELECT c.oid UNION SELECT o.refobjid
                              UNION SELECT * FROM pg_catalog.pg_partition_ancestors(coalesce(o.refobjid, c.oid)))) AS line
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_depend o
       ON c.relkind = 'S' AND o.classid = 'pg_catalog.pg_class'::regclass AND o.objid = c.oid
      AND o.refclassid = 'pg_catalog.pg_class'::regclass AND o.deptype IN ('a', 'i')
-- Each kind of relation has its own function; CASE prevents a call of the other one.
CROSS JOIN LATERAL (SELECT CASE WHEN c.relkind = 'S' THEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT')
                                ELSE pg_catalog.has_table_privilege(c.oid, 'SELECT') END AS may_select) m
WHERE c.relkind IN ('r', 'p', 'S')
  AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT (m.may_select AND pg_catalog.has_schema_privilege(n.oid, 'USAGE'))
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e
                  JOIN pg_catalog.pg_extension x ON x.oid = e.refobjid
                  WHERE e.classid = 'pg_catalog.pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e'
                    -- The rows of configuration tables are read.
                    AND c.oid <> ALL (coalesce(x.extconfig, '{}')))
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
