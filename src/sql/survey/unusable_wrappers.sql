-- The foreign data wrappers that we may not make servers of.
SELECT w.fdwname::text AS name
FROM pg_catalog.pg_foreign_data_wrapper w
WHERE NOT pg_catalog.has_foreign_data_wrapper_privilege(w.oid, 'USAGE')
