-- The search_path with which sessions of this database begin: that of ALTER DATABASE ... SET, else PostgreSQL's default.
SELECT coalesce(
    (SELECT substr(setting, length('search_path=') + 1)
     FROM pg_catalog.pg_db_role_setting s
     JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) AS setting
     WHERE d.datname = current_database() AND s.setrole = 0 AND setting LIKE 'search\_path=%'),
    '"$user", public'
)
