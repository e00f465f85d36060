-- Tables with rows on this server, without children of their own, below a table that also has foreign tables among its children or
-- partitions.
-- $1: its quoted name.
WITH RECURSIVE tree (oid) AS (
    SELECT pg_catalog.to_regclass($1)::pg_catalog.oid
    UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN tree t ON t.oid = i.inhparent)
SELECT c.oid::pg_catalog.regclass::pg_catalog.text AS name
FROM tree JOIN pg_catalog.pg_class c USING (oid)
WHERE c.relkind = 'r' AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid)
  AND EXISTS (SELECT FROM tree f JOIN pg_catalog.pg_class c USING (oid) WHERE c.relkind = 'f')
ORDER BY 1
