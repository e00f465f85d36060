-- What decides how a database can be restored.
SELECT ARRAY(SELECT s.subname::text FROM pg_catalog.pg_subscription s WHERE s.subdbid = d.oid ORDER BY s.subname) AS subscriptions,
       ARRAY(SELECT e.extname::text FROM pg_catalog.pg_extension e ORDER BY e.extname) AS extensions,
       EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE n.nspname = 'public') AS has_public,
       pg_catalog.pg_has_role(d.datdba, 'USAGE') AS is_owner
FROM pg_catalog.pg_database d
WHERE d.datname = current_database()
