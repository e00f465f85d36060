-- The privileges on an object ($2) of a system catalog ($1) and on its columns, its own or the built-in ones
-- (https://www.postgresql.org/docs/current/ddl-priv.html); for a rule of default privileges, what it grants. MAINTAIN exists from 17 on,
-- and is left out if one of the two servers does not have it ($3). The owner is not shown by name: another check compares the owners.
SELECT found.part, CASE WHEN a.grantee = 0 THEN 'PUBLIC' WHEN a.grantee = found.owner THEN 'the owner'
                        ELSE coalesce(r.rolname::text, a.grantee::text) END AS grantee,
       a.privilege_type AS privilege, a.is_grantable AS is_grantable
FROM (SELECT ''::text AS part, c.relowner AS owner,
             coalesce(c.relacl, pg_catalog.acldefault(CASE c.relkind WHEN 'S' THEN 's'::"char" ELSE 'r'::"char" END, c.relowner)) AS acl
      FROM pg_catalog.pg_class c WHERE $1 = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid = $2
      UNION ALL
      SELECT t.attname::text, c.relowner, t.attacl
      FROM pg_catalog.pg_attribute t JOIN pg_catalog.pg_class c ON c.oid = t.attrelid
      WHERE $1 = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid = $2 AND t.attacl IS NOT NULL AND NOT t.attisdropped
      UNION ALL
      SELECT '', p.proowner, coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))
      FROM pg_catalog.pg_proc p WHERE $1 = 'pg_catalog.pg_proc'::pg_catalog.regclass AND p.oid = $2
      UNION ALL
      SELECT '', n.nspowner, coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner))
      FROM pg_catalog.pg_namespace n WHERE $1 = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND n.oid = $2
      UNION ALL
      SELECT '', t.typowner, coalesce(t.typacl, pg_catalog.acldefault('T', t.typowner))
      FROM pg_catalog.pg_type t WHERE $1 = 'pg_catalog.pg_type'::pg_catalog.regclass AND t.oid = $2
      UNION ALL
      SELECT '', l.lanowner, coalesce(l.lanacl, pg_catalog.acldefault('l', l.lanowner))
      FROM pg_catalog.pg_language l WHERE $1 = 'pg_catalog.pg_language'::pg_catalog.regclass AND l.oid = $2
      UNION ALL
      SELECT '', w.fdwowner, coalesce(w.fdwacl, pg_catalog.acldefault('F', w.fdwowner))
      FROM pg_catalog.pg_foreign_data_wrapper w
      WHERE $1 = 'pg_catalog.pg_foreign_data_wrapper'::pg_catalog.regclass AND w.oid = $2
      UNION ALL
      SELECT '', s.srvowner, coalesce(s.srvacl, pg_catalog.acldefault('S', s.srvowner))
      FROM pg_catalog.pg_foreign_server s WHERE $1 = 'pg_catalog.pg_foreign_server'::pg_catalog.regclass AND s.oid = $2
      UNION ALL
      SELECT '', m.lomowner, coalesce(m.lomacl, pg_catalog.acldefault('L', m.lomowner))
      FROM pg_catalog.pg_largeobject_metadata m WHERE $1 = 'pg_catalog.pg_largeobject'::pg_catalog.regclass AND m.oid = $2
      UNION ALL
      SELECT '', d.datdba, coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))
      FROM pg_catalog.pg_database d WHERE $1 = 'pg_catalog.pg_database'::pg_catalog.regclass AND d.oid = $2
      UNION ALL
      SELECT '', d.defaclrole, d.defaclacl
      FROM pg_catalog.pg_default_acl d WHERE $1 = 'pg_catalog.pg_default_acl'::pg_catalog.regclass AND d.oid = $2) AS found
CROSS JOIN LATERAL pg_catalog.aclexplode(found.acl) AS a
LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
WHERE $3 OR a.privilege_type <> 'MAINTAIN'
ORDER BY 1, 2, 3, 4
