-- The subscriptions of this database. Before 16 there is no subpasswordrequired, and the name refers to the column of `older`.
SELECT s.oid AS oid, s.subconninfo AS conninfo, s.requires_password AS requires_password
FROM (VALUES (true)) AS older (subpasswordrequired)
CROSS JOIN LATERAL (SELECT oid, subconninfo, subdbid, subpasswordrequired AS requires_password FROM pg_catalog.pg_subscription) s
JOIN pg_catalog.pg_database d ON d.oid = s.subdbid
WHERE d.datname = pg_catalog.current_database()
