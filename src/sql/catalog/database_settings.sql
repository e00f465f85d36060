-- ALTER DATABASE ... SET values for every role (setrole = 0) of this database, in the order in which they were set.
SELECT unnest(s.setconfig) AS setting
FROM pg_catalog.pg_db_role_setting s
JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
WHERE d.datname = current_database() AND s.setrole = 0
