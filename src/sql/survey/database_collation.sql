-- The version of the database's default collation when it was made, and the version that the system's libraries have now; from 15 on.
SELECT coalesce(d.datcollversion, '') AS version,
       coalesce(pg_catalog.pg_database_collation_actual_version(d.oid), '') AS actual
FROM pg_catalog.pg_database d
WHERE d.datname = current_database()
