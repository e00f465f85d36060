-- GiST indexes over inet or cidr by the operator classes of btree_gist, which its version 1.9, that of PostgreSQL 19, does not have.
SELECT i.indrelid AS relation, pg_catalog.format('%I.%I', n.nspname, r.relname) AS object
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class r ON r.oid = i.indexrelid
JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
WHERE EXISTS (SELECT FROM pg_catalog.pg_opclass o
              JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_opclass'::regclass AND d.objid = o.oid AND d.deptype = 'e'
              JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid AND e.extname = 'btree_gist'
              WHERE o.oid = ANY (i.indclass) AND o.opcname IN ('gist_inet_ops', 'gist_cidr_ops'))
ORDER BY 2
