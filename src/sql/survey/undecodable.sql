-- What a SQL_ASCII database has in bytes beyond ASCII, object by object: its own name, or text of its definition. No encoding vouches for
-- these bytes, and a client gets them in its own only where they are valid there. No row in a database of another encoding.
SELECT o.type::text AS kind,
       pg_catalog.convert_to(o.identity::text, 'SQL_ASCII') AS object,
       pg_catalog.convert_to(t.text, 'SQL_ASCII') AS text
FROM (SELECT 'pg_catalog.pg_namespace'::regclass::oid, oid, 0, nspname::text FROM pg_catalog.pg_namespace
      UNION ALL
      SELECT 'pg_catalog.pg_class'::regclass, oid, 0, relname::text FROM pg_catalog.pg_class
      UNION ALL
      SELECT 'pg_catalog.pg_class'::regclass, attrelid, attnum::int4, attname::text FROM pg_catalog.pg_attribute
      WHERE NOT attisdropped
      UNION ALL
      SELECT 'pg_catalog.pg_attrdef'::regclass, oid, 0, pg_catalog.pg_get_expr(adbin, adrelid) FROM pg_catalog.pg_attrdef
      UNION ALL
      SELECT 'pg_catalog.pg_class'::regclass, oid, 0, pg_catalog.pg_get_viewdef(oid) FROM pg_catalog.pg_class
      WHERE relkind IN ('v', 'm') AND oid >= 16384
      UNION ALL
      SELECT 'pg_catalog.pg_class'::regclass, indexrelid, 0, pg_catalog.pg_get_indexdef(indexrelid) FROM pg_catalog.pg_index
      WHERE (indexprs IS NOT NULL OR indpred IS NOT NULL) AND indexrelid >= 16384
      UNION ALL
      SELECT 'pg_catalog.pg_constraint'::regclass, oid, 0, conname || ' ' || pg_catalog.pg_get_constraintdef(oid)
      FROM pg_catalog.pg_constraint WHERE oid >= 16384
      UNION ALL
      SELECT 'pg_catalog.pg_trigger'::regclass, oid, 0, pg_catalog.pg_get_triggerdef(oid) FROM pg_catalog.pg_trigger
      WHERE NOT tgisinternal
      UNION ALL
      SELECT 'pg_catalog.pg_rewrite'::regclass, oid, 0, pg_catalog.pg_get_ruledef(oid) FROM pg_catalog.pg_rewrite
      WHERE rulename <> '_RETURN' AND oid >= 16384
      UNION ALL
      SELECT 'pg_catalog.pg_policy'::regclass, oid, 0,
             pg_catalog.concat_ws(' ', polname, pg_catalog.pg_get_expr(polqual, polrelid), pg_catalog.pg_get_expr(polwithcheck, polrelid))
      FROM pg_catalog.pg_policy
      UNION ALL
      SELECT 'pg_catalog.pg_proc'::regclass, oid, 0,
             pg_catalog.concat_ws(' ', proname, pg_catalog.pg_get_function_arguments(oid), prosrc)
      FROM pg_catalog.pg_proc WHERE oid >= 16384
      UNION ALL
      SELECT 'pg_catalog.pg_type'::regclass, oid, 0, pg_catalog.concat_ws(' ', typname, typdefault)
      FROM pg_catalog.pg_type WHERE typrelid = 0 AND typelem = 0
      UNION ALL
      SELECT 'pg_catalog.pg_type'::regclass, enumtypid, 0, enumlabel::text FROM pg_catalog.pg_enum
      UNION ALL
      SELECT classoid, objoid, objsubid, description FROM pg_catalog.pg_description
      UNION ALL
      SELECT 'pg_catalog.pg_authid'::regclass, oid, 0, rolname::text FROM pg_catalog.pg_roles) t (class, oid, part, text)
CROSS JOIN LATERAL pg_catalog.pg_identify_object(t.class, t.oid, t.part) o
WHERE pg_catalog.getdatabaseencoding() = 'SQL_ASCII' AND t.oid >= 16384
  AND t.text COLLATE "C" ~ '[^\x01-\x7f]'
ORDER BY 1, 2
