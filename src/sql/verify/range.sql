-- What a range type ($1) is made of. The name of its multirange type is left out, for servers before 14 have none.
SELECT concat_ws(E'\n', pg_catalog.format_type(r.rngsubtype, NULL), r.rngcollation::pg_catalog.regcollation::text,
                 (SELECT n.nspname || '.' || o.opcname FROM pg_catalog.pg_opclass o
                  JOIN pg_catalog.pg_namespace n ON n.oid = o.opcnamespace WHERE o.oid = r.rngsubopc),
                 r.rngcanonical::text, r.rngsubdiff::text) AS fact,
       NULL::text AS expression
FROM pg_catalog.pg_range r WHERE r.rngtypid = $1
