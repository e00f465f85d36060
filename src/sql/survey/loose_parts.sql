-- Parts of objects that can be removed without a change of any other catalog row, and that no other catalog names: how many rows there
-- are, and how many of them are older than the horizon $1.
SELECT p.what, count(*) AS total,
       count(*) FILTER (WHERE pg_catalog.age(p.x) NOT BETWEEN 0 AND pg_catalog.age(($1::int8 % 4294967296)::text::xid)) AS old
FROM (
    SELECT 'settings of the database' AS what, s.xmin AS x
    FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase WHERE d.datname = current_database()
    UNION ALL
    SELECT 'comments on the database', s.xmin
    FROM pg_catalog.pg_shdescription s JOIN pg_catalog.pg_database d ON d.oid = s.objoid
    WHERE s.classoid = 'pg_catalog.pg_database'::regclass AND d.datname = current_database()
    UNION ALL
    SELECT 'constraints of domains', c.xmin FROM pg_catalog.pg_constraint c WHERE c.contypid <> 0
    UNION ALL
    SELECT 'members of operator families', a.xmin FROM pg_catalog.pg_amop a
    UNION ALL
    SELECT 'members of operator families', a.xmin FROM pg_catalog.pg_amproc a
    UNION ALL
    SELECT 'mappings of text search configurations', t.xmin FROM pg_catalog.pg_ts_config_map t
) p
GROUP BY p.what
ORDER BY p.what COLLATE "C"
