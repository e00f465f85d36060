-- The columns of every table, in their order. A type is safe in binary COPY when its binary form carries no OID that another server could
-- number differently: base types of the system except the reg* ones, their arrays and ranges, enums, and domains over these
-- (https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format"). Arrays of user types and composites carry OIDs. tsquery,
-- int2vector and oidvector are left out, because their receive functions refuse what their send functions write for an empty value.
WITH RECURSIVE base AS (
    SELECT t.oid, t.oid AS base_oid, t.typtype, t.typbasetype FROM pg_catalog.pg_type t
    UNION ALL
    SELECT b.oid, t.oid, t.typtype, t.typbasetype
    FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.typbasetype
    WHERE b.typtype = 'd'
), safe AS (
    SELECT b.oid,
           t.typsend <> 0 AND t.typreceive <> 0
           AND (t.typtype = 'e'
                OR t.oid < 16384 AND t.typtype IN ('b', 'r', 'm')
                   AND t.typname !~ '^_?(reg|aclitem|pg_(?!lsn)|xml|tsquery|int2vector|oidvector)') AS is_safe,
           pg_catalog.format_type(t.oid, NULL) AS base
    FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.base_oid
    WHERE b.typtype <> 'd'
)
SELECT a.attrelid AS relation,
       a.attname::text AS name,
       pg_catalog.format_type(a.atttypid, a.atttypmod) AS type,
       a.atttypid IN (20, 21, 23) AS is_integer,
       -- Since 18, attnotnull is also true for a NOT NULL constraint that is NOT VALID.
       a.attnotnull AND NOT EXISTS (
           SELECT FROM pg_catalog.pg_constraint k
           WHERE k.conrelid = a.attrelid AND k.contype = 'n' AND NOT k.convalidated AND k.conkey[1] = a.attnum) AS not_null,
       a.attgenerated <> '' AS is_generated,
       a.attidentity = 'a' AS identity_always,
       coalesce(s.is_safe, false) AS binary_safe,
       coalesce(s.base, '') AS base
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN safe s ON s.oid = a.atttypid
WHERE a.attnum > 0 AND NOT a.attisdropped
  AND c.relkind IN ('r', 'p', 'm', 'f')
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY a.attrelid, a.attnum
