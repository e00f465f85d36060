-- Those of the objects ($1: their catalogs; $2: their OIDs; $3: the number of their comments) that exist and have fewer comments now.
-- Comments on a table's columns and constraints count as the table's. loose_parts covers the comment on the database.
SELECT w.class AS catalog, w.object AS oid, pg_catalog.pg_describe_object(w.class, w.object, 0) AS object,
       i.type AS kind, i.identity AS identity, NULL::text AS of_table
FROM unnest($1::oid[], $2::oid[], $3::int8[]) AS w (class, object, number)
CROSS JOIN LATERAL pg_catalog.pg_identify_object(w.class, w.object, 0) i
WHERE w.class <> 'pg_catalog.pg_database'::regclass AND w.number > (
    SELECT count(*) FROM pg_catalog.pg_description d
    WHERE d.classoid = w.class AND d.objoid = w.object
       OR d.classoid = 'pg_catalog.pg_constraint'::regclass
          AND d.objoid IN (SELECT c.oid FROM pg_catalog.pg_constraint c
                           WHERE w.class = 'pg_catalog.pg_class'::regclass AND c.conrelid = w.object
                              OR w.class = 'pg_catalog.pg_type'::regclass AND c.contypid = w.object)
)
ORDER BY 3
