-- Objects that belong to extensions: their members, and objects on member tables that are no members (indexes, triggers, constraints).
-- CREATE EXTENSION makes the members of its script; what was added to the extension, or to its tables, later is not made by any other
-- statement (https://www.postgresql.org/docs/current/sql-alterextension.html).
WITH member AS (
    SELECT e.extname::text AS extension, e.extversion AS version, d.classid, d.objid
    FROM pg_catalog.pg_depend d
    JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
    WHERE d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.deptype = 'e'
), relation AS (
    SELECT m.extension, m.version, m.objid FROM member m WHERE m.classid = 'pg_catalog.pg_class'::regclass
), part AS (
    SELECT r.extension, r.version, 'pg_catalog.pg_class'::regclass::oid AS classid, i.indexrelid AS objid
    FROM relation r JOIN pg_catalog.pg_index i ON i.indrelid = r.objid
    UNION
    SELECT r.extension, r.version, 'pg_catalog.pg_trigger'::regclass, t.oid
    FROM relation r JOIN pg_catalog.pg_trigger t ON t.tgrelid = r.objid
    WHERE NOT t.tgisinternal
    UNION
    SELECT r.extension, r.version, 'pg_catalog.pg_constraint'::regclass, k.oid
    FROM relation r JOIN pg_catalog.pg_constraint k ON k.conrelid = r.objid
    -- The names of NOT NULL constraints (18) differ by the server's version.
    WHERE k.contype <> 'n'
)
SELECT x.extension, x.version, i.type AS kind, i.identity AS object
FROM (TABLE member UNION TABLE part) x
CROSS JOIN LATERAL pg_catalog.pg_identify_object(x.classid, x.objid, 0) i
WHERE i.identity IS NOT NULL
ORDER BY x.extension COLLATE "C", i.type COLLATE "C", i.identity COLLATE "C"
