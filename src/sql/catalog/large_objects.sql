-- Every large object with its owner, comment and privileges, in groups of objects of one owner: what the objects of a group have in common
-- is sent and kept once (https://www.postgresql.org/docs/current/catalog-pg-largeobject-metadata.html).
--
-- One task copies a group. Groups are large enough for few transactions, and small enough for the target's lock table, in which each object
-- with a COMMENT, ALTER OWNER or GRANT takes a place until the transaction ends.
WITH numbered AS (
    SELECT m.oid, m.lomowner, m.lomacl,
           (pg_catalog.row_number() OVER (PARTITION BY m.lomowner ORDER BY m.oid) - 1) / 200 AS number
    FROM pg_catalog.pg_largeobject_metadata m),
privileges AS (
    SELECT n.lomowner, n.number,
           CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(g.rolname) END AS grantee,
           x.privilege_type, x.is_grantable, pg_catalog.string_agg(n.oid::text, ' ' ORDER BY n.oid) AS oids
    FROM numbered n CROSS JOIN LATERAL pg_catalog.aclexplode(n.lomacl) x LEFT JOIN pg_catalog.pg_roles g ON g.oid = x.grantee
    WHERE x.grantee <> n.lomowner
    GROUP BY n.lomowner, n.number, 3, x.privilege_type, x.is_grantable)
SELECT r.rolname::text AS owner, o.oids, o.commented, o.comments,
       coalesce(p.grantees, '{}') AS grantees, coalesce(p.rights, '{}') AS rights,
       coalesce(p.grantable, '{}') AS grantable, coalesce(p.granted, '{}') AS granted
FROM (SELECT n.lomowner, n.number,
             pg_catalog.array_agg(n.oid ORDER BY n.oid) AS oids,
             coalesce(pg_catalog.array_agg(n.oid ORDER BY n.oid) FILTER (WHERE d.description IS NOT NULL), '{}') AS commented,
             coalesce(pg_catalog.array_agg(d.description ORDER BY n.oid) FILTER (WHERE d.description IS NOT NULL), '{}') AS comments
      FROM numbered n
      LEFT JOIN pg_catalog.pg_description d
             ON d.classoid = 'pg_catalog.pg_largeobject'::regclass AND d.objoid = n.oid AND d.objsubid = 0
      GROUP BY n.lomowner, n.number) o
JOIN pg_catalog.pg_roles r ON r.oid = o.lomowner
LEFT JOIN (SELECT lomowner, number,
                  pg_catalog.array_agg(grantee ORDER BY place) AS grantees,
                  pg_catalog.array_agg(privilege_type ORDER BY place) AS rights,
                  pg_catalog.array_agg(is_grantable ORDER BY place) AS grantable,
                  pg_catalog.array_agg(oids ORDER BY place) AS granted
           FROM (SELECT *, pg_catalog.row_number() OVER (ORDER BY grantee COLLATE "C", privilege_type COLLATE "C", is_grantable) AS place
                 FROM privileges) ordered
           GROUP BY lomowner, number) p ON p.lomowner = o.lomowner AND p.number = o.number
ORDER BY r.rolname COLLATE "C", o.number
