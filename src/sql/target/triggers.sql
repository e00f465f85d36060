-- The triggers of users that fire in an ordinary session (https://www.postgresql.org/docs/current/sql-altertable.html, ENABLE TRIGGER).
-- Before 15 a partition's copy of a trigger counts as internal, and only a superuser may enable or disable it.
SELECT n.nspname::text AS schema,
       c.relname::text AS name,
       t.tgname::text AS trigger,
       t.tgtype & 4 <> 0 AS fires_on_insert,
       pg_catalog.pg_has_role(c.relowner, 'USAGE')
           AND (NOT t.tgisinternal OR pg_catalog.current_setting('is_superuser')::bool) AS is_owner
FROM pg_catalog.pg_trigger t
JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE (NOT t.tgisinternal OR t.tgparentid <> 0 AND t.tgconstraint = 0) AND t.tgenabled IN ('O', 'A')
ORDER BY 1, 2, 3
