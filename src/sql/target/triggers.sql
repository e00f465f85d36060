-- The triggers of users that fire in an ordinary session (https://www.postgresql.org/docs/current/sql-altertable.html, ENABLE TRIGGER).
SELECT n.nspname::text AS schema,
       c.relname::text AS name,
       t.tgname::text AS trigger,
       t.tgtype & 4 <> 0 AS fires_on_insert,
       pg_catalog.pg_has_role(c.relowner, 'USAGE') AS is_owner
FROM pg_catalog.pg_trigger t
JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A')
ORDER BY 1, 2, 3
