-- The identities of objects: $1 are the system catalogs that list them, $2 their OIDs there.
SELECT o.catalog AS catalog, o.oid AS oid, i.type AS kind, i.identity AS identity
FROM unnest($1::pg_catalog.oid[], $2::pg_catalog.oid[]) o (catalog, oid)
CROSS JOIN LATERAL pg_catalog.pg_identify_object(o.catalog, o.oid, 0) i
WHERE i.identity IS NOT NULL
