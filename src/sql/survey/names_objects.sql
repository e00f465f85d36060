-- Whether a relation ($1) has columns whose values name objects (https://www.postgresql.org/docs/current/datatype-oid.html), alone or within
-- arrays, domains, ranges and composite types: their text depends on the search_path.
WITH RECURSIVE used (oid) AS (
    SELECT a.atttypid FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = pg_catalog.to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped
    UNION
    SELECT part.oid
    FROM used u JOIN pg_catalog.pg_type t ON t.oid = u.oid
    CROSS JOIN LATERAL (
        SELECT t.typelem
        UNION ALL SELECT t.typbasetype
        UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range r
                  WHERE r.rngtypid = t.oid OR (pg_catalog.to_jsonb(r) ->> 'rngmultitypid')::oid = t.oid
        UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a
                  WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) part (oid)
    WHERE part.oid <> 0
)
SELECT EXISTS (SELECT FROM used u JOIN pg_catalog.pg_type t ON t.oid = u.oid
               WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typname LIKE 'reg%')
