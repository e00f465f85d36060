-- Which of these large objects ($1) exist, and who owns them.
SELECT m.oid AS oid, r.rolname::text AS owner
FROM pg_catalog.pg_largeobject_metadata m JOIN pg_catalog.pg_roles r ON r.oid = m.lomowner
WHERE m.oid = ANY ($1)
ORDER BY m.oid
