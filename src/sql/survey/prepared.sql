-- Transactions of this database that were prepared and never ended. The application chooses the name, which is shown.
SELECT p.gid AS name,
       p.owner::text AS role,
       coalesce(extract(epoch FROM clock_timestamp() - p.prepared), 0)::float8 AS seconds
FROM pg_catalog.pg_prepared_xacts p
WHERE p.database = current_database()
ORDER BY p.prepared, p.gid
