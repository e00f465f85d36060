-- The owner and the privileges of each object, one object a row: those of one class ($1), schema ($2) and name ($3), each of which matches
-- all if it is NULL. Classes and names are those of pg_dump's ACL entries. A privilege is written as `SELECT to joe`; the owner of the
-- object is written as `its owner`, because it may have another name on another server. An object without an ACL of its own has the default
-- privileges of its class (https://www.postgresql.org/docs/current/ddl-priv.html).
WITH usual (kind, privileges) AS MATERIALIZED (
    SELECT k, ARRAY(SELECT x.privilege_type || ' to ' || CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE 'its owner' END
                    FROM pg_catalog.aclexplode(pg_catalog.acldefault(k, 10)) x)
    FROM unnest('{r,s,n,f,T,l,F,S,L}'::"char"[]) k
), argument_types (routine, list) AS NOT MATERIALIZED (
    SELECT p.oid, (SELECT string_agg(pg_catalog.format_type(a.type, NULL), ', ' ORDER BY a.n)
                   FROM unnest(p.proargtypes) WITH ORDINALITY a(type, n))
    FROM pg_catalog.pg_proc p
), object (class, schema, name, part, owner, kind, acl) AS NOT MATERIALIZED (
    SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, n.nspname, c.relname::text, ''::text, c.relowner,
           CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relacl
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    UNION ALL
    SELECT 'COLUMN', n.nspname, c.relname::text, a.attname::text, c.relowner, NULL, a.attacl
    FROM pg_catalog.pg_attribute a
    JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE a.attacl IS NOT NULL AND NOT a.attisdropped
    UNION ALL
    SELECT 'SCHEMA', ''::name, n.nspname::text, '', n.nspowner, 'n', n.nspacl FROM pg_catalog.pg_namespace n
    UNION ALL
    SELECT CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END, n.nspname,
           p.proname || '(' || coalesce(t.list, CASE p.prokind WHEN 'a' THEN '*' ELSE '' END) || ')', '', p.proowner, 'f', p.proacl
    FROM pg_catalog.pg_proc p
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    JOIN argument_types t ON t.routine = p.oid
    UNION ALL
    SELECT 'TYPE', n.nspname, t.typname::text, '', t.typowner, 'T', t.typacl
    FROM pg_catalog.pg_type t
    JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
    LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
    WHERE (t.typrelid = 0 OR c.relkind = 'c') AND t.typtype <> 'm' AND t.typcategory <> 'A'
    UNION ALL
    SELECT 'LANGUAGE', '', l.lanname::text, '', l.lanowner, 'l', l.lanacl FROM pg_catalog.pg_language l
    UNION ALL
    SELECT 'FOREIGN DATA WRAPPER', '', f.fdwname::text, '', f.fdwowner, 'F', f.fdwacl FROM pg_catalog.pg_foreign_data_wrapper f
    UNION ALL
    SELECT 'FOREIGN SERVER', '', s.srvname::text, '', s.srvowner, 'S', s.srvacl FROM pg_catalog.pg_foreign_server s
    UNION ALL
    SELECT 'LARGE OBJECT', '', m.oid::text, '', m.lomowner, 'L', m.lomacl FROM pg_catalog.pg_largeobject_metadata m
    UNION ALL
    SELECT 'DEFAULT ACL', coalesce(n.nspname, ''),
           'DEFAULT PRIVILEGES FOR ' || CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS'
                                                             WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS' WHEN 'L' THEN 'LARGE OBJECTS' END,
           pg_catalog.pg_get_userbyid(d.defaclrole)::text, d.defaclrole, NULL, d.defaclacl
    FROM pg_catalog.pg_default_acl d LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace
    UNION ALL
    SELECT 'COLLATION', n.nspname, c.collname::text, '', c.collowner, NULL, NULL
    FROM pg_catalog.pg_collation c JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace
    UNION ALL
    SELECT 'CONVERSION', n.nspname, c.conname::text, '', c.conowner, NULL, NULL
    FROM pg_catalog.pg_conversion c JOIN pg_catalog.pg_namespace n ON n.oid = c.connamespace
    UNION ALL
    SELECT 'OPERATOR', n.nspname, o.oprname::text, '', o.oprowner, NULL, NULL
    FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
    UNION ALL
    SELECT 'OPERATOR CLASS', n.nspname, o.opcname::text, '', o.opcowner, NULL, NULL
    FROM pg_catalog.pg_opclass o JOIN pg_catalog.pg_namespace n ON n.oid = o.opcnamespace
    UNION ALL
    SELECT 'OPERATOR FAMILY', n.nspname, o.opfname::text, '', o.opfowner, NULL, NULL
    FROM pg_catalog.pg_opfamily o JOIN pg_catalog.pg_namespace n ON n.oid = o.opfnamespace
    UNION ALL
    SELECT 'STATISTICS', n.nspname, s.stxname::text, '', s.stxowner, NULL, NULL
    FROM pg_catalog.pg_statistic_ext s JOIN pg_catalog.pg_namespace n ON n.oid = s.stxnamespace
    UNION ALL
    SELECT 'TEXT SEARCH CONFIGURATION', n.nspname, c.cfgname::text, '', c.cfgowner, NULL, NULL
    FROM pg_catalog.pg_ts_config c JOIN pg_catalog.pg_namespace n ON n.oid = c.cfgnamespace
    UNION ALL
    SELECT 'TEXT SEARCH DICTIONARY', n.nspname, d.dictname::text, '', d.dictowner, NULL, NULL
    FROM pg_catalog.pg_ts_dict d JOIN pg_catalog.pg_namespace n ON n.oid = d.dictnamespace
    UNION ALL
    SELECT 'PUBLICATION', '', p.pubname::text, '', p.pubowner, NULL, NULL FROM pg_catalog.pg_publication p
    UNION ALL
    SELECT 'SUBSCRIPTION', '', s.subname::text, '', s.subowner, NULL, NULL
    FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d ON d.oid = s.subdbid
    WHERE d.datname = pg_catalog.current_database()
    UNION ALL
    SELECT 'EVENT TRIGGER', '', e.evtname::text, '', e.evtowner, NULL, NULL FROM pg_catalog.pg_event_trigger e
)
SELECT o.class AS class, o.schema::text AS schema, o.name AS name, o.part AS part, pg_catalog.pg_get_userbyid(o.owner)::text AS owner,
       CASE WHEN o.acl IS NULL THEN coalesce(u.privileges, '{}') ELSE
           ARRAY(SELECT x.privilege_type || ' to '
                        || CASE x.grantee WHEN 0 THEN 'PUBLIC' WHEN o.owner THEN 'its owner'
                                          ELSE pg_catalog.pg_get_userbyid(x.grantee)::text END
                        || CASE WHEN x.is_grantable THEN ' with grant option' ELSE '' END
                        || CASE WHEN x.grantor = o.owner THEN '' ELSE ', granted by ' || pg_catalog.pg_get_userbyid(x.grantor)::text END
                 FROM pg_catalog.aclexplode(o.acl) x)
       END AS privileges
FROM object o LEFT JOIN usual u ON u.kind = o.kind
WHERE (o.class = $1 OR $1 IS NULL) AND (o.schema = $2 OR $2 IS NULL) AND (o.name = $3 OR $3 IS NULL)
  AND o.schema !~ '^pg_(toast|temp)'
