-- The foreign servers with their foreign data wrappers.
SELECT s.oid AS oid, w.fdwname::text AS wrapper
FROM pg_catalog.pg_foreign_server s JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw
ORDER BY s.oid
