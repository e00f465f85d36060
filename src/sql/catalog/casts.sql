-- The casts that the server applies implicitly when a value is assigned to a column
-- (https://www.postgresql.org/docs/current/catalog-pg-cast.html).
SELECT pg_catalog.format_type(c.castsource, NULL) AS source, pg_catalog.format_type(c.casttarget, NULL) AS target
FROM pg_catalog.pg_cast c
WHERE c.castcontext IN ('i', 'a')
