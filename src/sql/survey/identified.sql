-- Objects that cannot be identified by the name in an ACL entry: each with its identity, which is the same on every server, whether the
-- connecting role may comment on it, whether it has a comment, and whether an extension has made it.
WITH object (catalog, oid, may_comment) AS (
    SELECT 'pg_catalog.pg_operator'::regclass::oid, o.oid, pg_catalog.pg_has_role(o.oprowner, 'USAGE') FROM pg_catalog.pg_operator o
    UNION ALL
    SELECT 'pg_catalog.pg_opclass'::regclass, c.oid, pg_catalog.pg_has_role(c.opcowner, 'USAGE') FROM pg_catalog.pg_opclass c
    UNION ALL
    SELECT 'pg_catalog.pg_opfamily'::regclass, f.oid, pg_catalog.pg_has_role(f.opfowner, 'USAGE') FROM pg_catalog.pg_opfamily f
    UNION ALL
    SELECT 'pg_catalog.pg_cast'::regclass, c.oid,
           EXISTS (SELECT FROM pg_catalog.pg_type t
                   WHERE t.oid IN (c.castsource, c.casttarget) AND pg_catalog.pg_has_role(t.typowner, 'USAGE'))
    FROM pg_catalog.pg_cast c
    UNION ALL
    SELECT 'pg_catalog.pg_transform'::regclass, f.oid,
           EXISTS (SELECT FROM pg_catalog.pg_type t WHERE t.oid = f.trftype AND pg_catalog.pg_has_role(t.typowner, 'USAGE'))
    FROM pg_catalog.pg_transform f
    UNION ALL
    SELECT 'pg_catalog.pg_am'::regclass, a.oid, r.rolsuper FROM pg_catalog.pg_am a JOIN pg_catalog.pg_roles r ON r.rolname = current_user
    UNION ALL
    SELECT 'pg_catalog.pg_ts_parser'::regclass, p.oid, r.rolsuper
    FROM pg_catalog.pg_ts_parser p JOIN pg_catalog.pg_roles r ON r.rolname = current_user
    UNION ALL
    SELECT 'pg_catalog.pg_ts_template'::regclass, t.oid, r.rolsuper
    FROM pg_catalog.pg_ts_template t JOIN pg_catalog.pg_roles r ON r.rolname = current_user
    UNION ALL
    -- The schemas of publications, which have no comments; versions before 15 have no such catalog.
    SELECT DISTINCT d.classid, d.objid, false
    FROM pg_catalog.pg_depend d WHERE d.classid = pg_catalog.to_regclass('pg_catalog.pg_publication_namespace')
)
SELECT o.catalog AS catalog, o.oid AS oid, i.type || ' ' || i.identity AS identity, o.may_comment AS may_comment,
       pg_catalog.obj_description(o.oid, c.relname) IS NOT NULL AS has_comment,
       EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = o.catalog AND e.objid = o.oid AND e.deptype = 'e') AS is_member
FROM object o
JOIN pg_catalog.pg_class c ON c.oid = o.catalog
CROSS JOIN LATERAL pg_catalog.pg_identify_object(o.catalog, o.oid, 0) i
WHERE o.oid >= 16384 AND i.identity IS NOT NULL
