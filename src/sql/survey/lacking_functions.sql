-- The built-in functions ($1: names; $2: types of their arguments; $3: number of arguments; $4: whether one is polymorphic) that the server
-- lacks, by their places in the list. A polymorphic argument may have had another type before.
SELECT w.place AS place
FROM unnest($1::text[], $2::text[], $3::int[], $4::bool[]) WITH ORDINALITY AS w (name, arguments, number, is_polymorphic, place)
WHERE NOT EXISTS (
    SELECT FROM pg_catalog.pg_proc p
    WHERE p.proname = w.name AND p.pronamespace = 'pg_catalog'::regnamespace AND p.pronargs = w.number
      AND (w.is_polymorphic
           OR w.arguments = coalesce((SELECT string_agg(pg_catalog.format_type(a.oid, NULL), ', ' ORDER BY a.n)
                                      FROM unnest(p.proargtypes) WITH ORDINALITY a (oid, n)), '')))
ORDER BY w.place
