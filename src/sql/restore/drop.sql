-- The statements that empty a database, in their order. $1: the names of extensions that stay; $2: the schemas that these need. A schema
-- that no extension needs is dropped as a whole; in the others, and in public, which every new database has, each object is dropped by
-- itself. With CASCADE and IF EXISTS their order does not matter. Members of extensions are dropped or kept with their extension.
WITH member AS (
    SELECT classid, objid FROM pg_catalog.pg_depend
    WHERE refclassid = 'pg_catalog.pg_extension'::regclass AND deptype = 'e'
), place AS (
    SELECT n.oid, n.nspname, n.nspname = 'public' OR n.nspname = ANY ($2::text[]) AS stays
    FROM pg_catalog.pg_namespace n
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
), single (classid, objid) AS (
    SELECT 'pg_catalog.pg_class'::regclass, c.oid FROM pg_catalog.pg_class c JOIN place ON place.oid = c.relnamespace AND stays
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    UNION ALL
    SELECT 'pg_catalog.pg_proc'::regclass, p.oid FROM pg_catalog.pg_proc p JOIN place ON place.oid = p.pronamespace AND stays
    UNION ALL
    SELECT 'pg_catalog.pg_type'::regclass, t.oid FROM pg_catalog.pg_type t JOIN place ON place.oid = t.typnamespace AND stays
    UNION ALL
    SELECT 'pg_catalog.pg_operator'::regclass, o.oid FROM pg_catalog.pg_operator o JOIN place ON place.oid = o.oprnamespace AND stays
    UNION ALL
    SELECT 'pg_catalog.pg_opclass'::regclass, o.oid FROM pg_catalog.pg_opclass o JOIN place ON place.oid = o.opcnamespace AND stays
    UNION ALL
    SELECT 'pg_catalog.pg_opfamily'::regclass, o.oid FROM pg_catalog.pg_opfamily o JOIN place ON place.oid = o.opfnamespace AND stays
    UNION ALL
    SELECT 'pg_catalog.pg_collation'::regclass, o.oid FROM pg_catalog.pg_collation o JOIN place ON place.oid = o.collnamespace AND stays
    UNION ALL
    SELECT 'pg_catalog.pg_conversion'::regclass, o.oid FROM pg_catalog.pg_conversion o JOIN place ON place.oid = o.connamespace AND stays
    UNION ALL
    SELECT 'pg_catalog.pg_ts_config'::regclass, o.oid FROM pg_catalog.pg_ts_config o JOIN place ON place.oid = o.cfgnamespace AND stays
    UNION ALL
    SELECT 'pg_catalog.pg_ts_dict'::regclass, o.oid FROM pg_catalog.pg_ts_dict o JOIN place ON place.oid = o.dictnamespace AND stays
    UNION ALL
    SELECT 'pg_catalog.pg_ts_parser'::regclass, o.oid FROM pg_catalog.pg_ts_parser o JOIN place ON place.oid = o.prsnamespace AND stays
    UNION ALL
    SELECT 'pg_catalog.pg_ts_template'::regclass, o.oid FROM pg_catalog.pg_ts_template o JOIN place ON place.oid = o.tmplnamespace AND stays
    -- Objects without a schema: users' objects have OIDs from 16384 on.
    UNION ALL
    SELECT 'pg_catalog.pg_publication'::regclass, o.oid FROM pg_catalog.pg_publication o
    UNION ALL
    SELECT 'pg_catalog.pg_foreign_data_wrapper'::regclass, o.oid FROM pg_catalog.pg_foreign_data_wrapper o
    UNION ALL
    SELECT 'pg_catalog.pg_foreign_server'::regclass, o.oid FROM pg_catalog.pg_foreign_server o
    UNION ALL
    SELECT 'pg_catalog.pg_language'::regclass, o.oid FROM pg_catalog.pg_language o WHERE o.oid >= 16384
    UNION ALL
    SELECT 'pg_catalog.pg_am'::regclass, o.oid FROM pg_catalog.pg_am o WHERE o.oid >= 16384
    UNION ALL
    SELECT 'pg_catalog.pg_cast'::regclass, o.oid FROM pg_catalog.pg_cast o WHERE o.oid >= 16384
    UNION ALL
    SELECT 'pg_catalog.pg_transform'::regclass, o.oid FROM pg_catalog.pg_transform o
), defaults AS (
    SELECT a.defaclobjtype AS letter, a.defaclnamespace = 0 AS is_global, pg_catalog.pg_get_userbyid(a.defaclrole) AS owner, a.defaclacl AS acl,
           pg_catalog.format('ALTER DEFAULT PRIVILEGES FOR ROLE %I ', pg_catalog.pg_get_userbyid(a.defaclrole))
               || coalesce('IN SCHEMA ' || pg_catalog.quote_ident(place.nspname) || ' ', '') AS start,
           CASE a.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS' WHEN 'T' THEN 'TYPES'
                                WHEN 'n' THEN 'SCHEMAS' ELSE 'LARGE OBJECTS' END AS kind
    FROM pg_catalog.pg_default_acl a LEFT JOIN place ON place.oid = a.defaclnamespace
    WHERE a.defaclnamespace = 0 OR place.stays
), statement (position, statement) AS (
    -- Event triggers are dropped first, because they would fire on all that follows.
    SELECT 1, pg_catalog.format('DROP EVENT TRIGGER %I', t.evtname) FROM pg_catalog.pg_event_trigger t
    WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_catalog.pg_event_trigger'::regclass AND m.objid = t.oid)
    UNION ALL
    SELECT 2, pg_catalog.format('DROP SCHEMA %I CASCADE', place.nspname) FROM place
    WHERE NOT stays AND NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_catalog.pg_namespace'::regclass AND m.objid = place.oid)
    UNION ALL
    SELECT 3, pg_catalog.format('DROP %s IF EXISTS %s CASCADE', upper(replace(i.type, '-', ' ')), i.identity)
    FROM single CROSS JOIN LATERAL pg_catalog.pg_identify_object(single.classid, single.objid, 0) i
    WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = single.classid AND m.objid = single.objid)
      -- Internal parts of another object, such as a table's row type or an identity's sequence, are dropped with it and cannot be dropped
      -- alone.
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                      WHERE d.classid = single.classid AND d.objid = single.objid AND d.objsubid = 0 AND d.deptype = 'i')
    UNION ALL
    SELECT 4, pg_catalog.format('DROP EXTENSION IF EXISTS %I CASCADE', e.extname) FROM pg_catalog.pg_extension e
    WHERE e.extname <> ALL ($1::text[])
    UNION ALL
    -- The archive restores users' rows in tables of extensions that stay.
    SELECT 5, pg_catalog.format('DELETE FROM ONLY %s %s', config.oid::regclass, config.filter)
    FROM pg_catalog.pg_extension e CROSS JOIN LATERAL unnest(e.extconfig, e.extcondition) config (oid, filter)
    JOIN pg_catalog.pg_class c ON c.oid = config.oid AND c.relkind = 'r'
    WHERE e.extname = ANY ($1::text[])
    UNION ALL
    SELECT 6, 'SELECT pg_catalog.lo_unlink(oid) FROM pg_catalog.pg_largeobject_metadata'
    WHERE EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata)
    UNION ALL
    SELECT 7, d.start || 'REVOKE ALL ON ' || d.kind || ' FROM '
              || CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(x.grantee)) END
    FROM defaults d CROSS JOIN LATERAL (SELECT DISTINCT grantee FROM pg_catalog.aclexplode(d.acl)) x
    UNION ALL
    SELECT 8, d.start || 'GRANT ALL ON ' || d.kind || ' TO ' || pg_catalog.quote_ident(d.owner)
              || CASE WHEN d.letter IN ('f', 'T') THEN ', PUBLIC' ELSE '' END
    FROM defaults d WHERE d.is_global
    UNION ALL
    -- The privileges that initdb gave on public; a dump has only the difference from these.
    SELECT 9, 'REVOKE ALL ON SCHEMA public FROM '
              || CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(x.grantee)) END || ' CASCADE'
    FROM pg_catalog.pg_namespace n CROSS JOIN LATERAL (SELECT DISTINCT grantee FROM pg_catalog.aclexplode(n.nspacl)) x
    WHERE n.nspname = 'public' AND x.grantee <> n.nspowner
    UNION ALL
    SELECT 10, pg_catalog.format('ALTER SCHEMA public OWNER TO %I', r.rolname)
    FROM pg_catalog.pg_namespace n, pg_catalog.pg_roles r
    WHERE n.nspname = 'public' AND n.nspowner <> r.oid
      AND CASE WHEN current_setting('server_version_num')::int4 >= 150000 THEN r.rolname = 'pg_database_owner' ELSE r.oid = 10 END
    UNION ALL
    SELECT 11, 'GRANT ALL ON SCHEMA public TO ' || CASE WHEN current_setting('server_version_num')::int4 >= 150000
                                                        THEN 'pg_database_owner; GRANT USAGE ON SCHEMA public TO PUBLIC' ELSE 'PUBLIC' END
    FROM pg_catalog.pg_namespace n WHERE n.nspname = 'public' AND n.nspacl IS NOT NULL
    UNION ALL
    SELECT 12, 'COMMENT ON SCHEMA public IS ''standard public schema'''
    FROM pg_catalog.pg_namespace n
    WHERE n.nspname = 'public' AND pg_catalog.obj_description(n.oid, 'pg_namespace') IS DISTINCT FROM 'standard public schema'
    UNION ALL
    SELECT 13, CASE s.setrole WHEN 0 THEN pg_catalog.format('ALTER DATABASE %I RESET ALL', d.datname)
                    ELSE pg_catalog.format('ALTER ROLE %I IN DATABASE %I RESET ALL', pg_catalog.pg_get_userbyid(s.setrole), d.datname) END
    FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
    WHERE d.datname = current_database() AND pg_catalog.pg_has_role(d.datdba, 'USAGE')
)
SELECT statement FROM statement ORDER BY position, statement COLLATE "C"
