-- What a SQL_ASCII database has in bytes beyond ASCII, object by object: its own name, or text of its definition. These bytes have no known
-- encoding, and the server sends them to a client in another encoding only if they are valid there. No row in a database of another
-- encoding.
SELECT o.type::text AS kind,
       pg_catalog.convert_to(o.identity::text, 'SQL_ASCII') AS object,
       pg_catalog.convert_to(t.text, 'SQL_ASCII') AS text
FROM (SELECT 'pg_catalog.pg_namespace'::regclass::oid, oid, 0, nspname::text FROM pg_catalog.pg_namespace
      UNION ALL
      SELECT 'pg_catalog.pg_class'::regclass, oid, 0, relname::text FROM pg_catalog.pg_class
      UNION ALL
      SELECT 'pg_catalog.pg_class'::regclass, oid, 0,
             pg_catalog.concat_ws(' ', pg_catalog.pg_get_expr(relpartbound, oid), reloptions::text, pg_catalog.pg_get_partkeydef(oid))
      FROM pg_catalog.pg_class WHERE oid >= 16384
      UNION ALL
      SELECT 'pg_catalog.pg_class'::regclass, attrelid, attnum::int4, pg_catalog.concat_ws(' ', attname, attoptions::text, attfdwoptions::text) FROM pg_catalog.pg_attribute
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
             CASE prokind WHEN 'a' THEN pg_catalog.concat_ws(' ', proname, pg_catalog.pg_get_function_arguments(oid))
                          ELSE pg_catalog.pg_get_functiondef(oid) END
      FROM pg_catalog.pg_proc WHERE oid >= 16384
      UNION ALL
      SELECT 'pg_catalog.pg_type'::regclass, oid, 0, pg_catalog.concat_ws(' ', typname, typdefault)
      FROM pg_catalog.pg_type WHERE typrelid = 0 AND typelem = 0
      UNION ALL
      SELECT 'pg_catalog.pg_type'::regclass, enumtypid, 0, enumlabel::text FROM pg_catalog.pg_enum
      UNION ALL
      SELECT classoid, objoid, objsubid, description FROM pg_catalog.pg_description
      UNION ALL
      SELECT classoid, objoid, 0, description FROM pg_catalog.pg_shdescription
      UNION ALL
      SELECT classoid, objoid, objsubid, label FROM pg_catalog.pg_seclabel
      UNION ALL
      SELECT classoid, objoid, 0, label FROM pg_catalog.pg_shseclabel
      UNION ALL
      SELECT CASE setrole WHEN 0 THEN 'pg_catalog.pg_database'::regclass ELSE 'pg_catalog.pg_authid'::regclass END,
             CASE setrole WHEN 0 THEN setdatabase ELSE setrole END, 0, setconfig::text
      FROM pg_catalog.pg_db_role_setting
      WHERE setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
      UNION ALL
      SELECT 'pg_catalog.pg_foreign_data_wrapper'::regclass, oid, 0, pg_catalog.concat_ws(' ', fdwname, fdwoptions::text)
      FROM pg_catalog.pg_foreign_data_wrapper
      UNION ALL
      SELECT 'pg_catalog.pg_foreign_server'::regclass, oid, 0,
             pg_catalog.concat_ws(' ', srvname, srvtype, srvversion, srvoptions::text)
      FROM pg_catalog.pg_foreign_server
      UNION ALL
      SELECT 'pg_catalog.pg_class'::regclass, ftrelid, 0, ftoptions::text FROM pg_catalog.pg_foreign_table
      UNION ALL
      SELECT 'pg_catalog.pg_user_mapping'::regclass, umid, 0, umoptions::text FROM pg_catalog.pg_user_mappings
      UNION ALL
      SELECT 'pg_catalog.pg_publication'::regclass, oid, 0, pubname::text FROM pg_catalog.pg_publication
      UNION ALL
      SELECT 'pg_catalog.pg_subscription'::regclass, oid, 0, subname::text FROM pg_catalog.pg_subscription
      WHERE subdbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
      UNION ALL
      SELECT 'pg_catalog.pg_statistic_ext'::regclass, oid, 0, stxname::text FROM pg_catalog.pg_statistic_ext
      UNION ALL
      SELECT 'pg_catalog.pg_collation'::regclass, oid, 0, collname::text FROM pg_catalog.pg_collation
      UNION ALL
      SELECT 'pg_catalog.pg_conversion'::regclass, oid, 0, conname::text FROM pg_catalog.pg_conversion
      UNION ALL
      SELECT 'pg_catalog.pg_event_trigger'::regclass, oid, 0, evtname::text FROM pg_catalog.pg_event_trigger
      UNION ALL
      SELECT 'pg_catalog.pg_language'::regclass, oid, 0, lanname::text FROM pg_catalog.pg_language
      UNION ALL
      SELECT 'pg_catalog.pg_opclass'::regclass, oid, 0, opcname::text FROM pg_catalog.pg_opclass
      UNION ALL
      SELECT 'pg_catalog.pg_opfamily'::regclass, oid, 0, opfname::text FROM pg_catalog.pg_opfamily
      UNION ALL
      SELECT 'pg_catalog.pg_ts_config'::regclass, oid, 0, cfgname::text FROM pg_catalog.pg_ts_config
      UNION ALL
      SELECT 'pg_catalog.pg_ts_dict'::regclass, oid, 0, pg_catalog.concat_ws(' ', dictname, dictinitoption)
      FROM pg_catalog.pg_ts_dict
      UNION ALL
      SELECT 'pg_catalog.pg_ts_parser'::regclass, oid, 0, prsname::text FROM pg_catalog.pg_ts_parser
      UNION ALL
      SELECT 'pg_catalog.pg_ts_template'::regclass, oid, 0, tmplname::text FROM pg_catalog.pg_ts_template
      UNION ALL
      SELECT 'pg_catalog.pg_authid'::regclass, oid, 0, rolname::text FROM pg_catalog.pg_roles) t (class, oid, part, text)
CROSS JOIN LATERAL pg_catalog.pg_identify_object(t.class, t.oid, t.part) o
WHERE pg_catalog.getdatabaseencoding() = 'SQL_ASCII' AND t.oid >= 16384
  AND t.text COLLATE "C" ~ '[^\x01-\x7f]'
ORDER BY 1, 2
