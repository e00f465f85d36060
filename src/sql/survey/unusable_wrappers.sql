-- The foreign data wrappers for which the connecting role may not create servers.
SELECT w.fdwname::text AS name
FROM pg_catalog.pg_foreign_data_wrapper w
WHERE NOT pg_catalog.has_foreign_data_wrapper_privilege(w.oid, 'USAGE')
