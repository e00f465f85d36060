-- Foreign keys that are not enforced because triggers that the server made for them are disabled, as ALTER TABLE ... DISABLE TRIGGER ALL
-- does. No dump shows the state of these triggers.
SELECT DISTINCT n.nspname::text AS schema, c.relname::text AS table, k.conname::text AS constraint
FROM pg_catalog.pg_trigger t
JOIN pg_catalog.pg_constraint k ON k.oid = t.tgconstraint AND k.contype = 'f'
JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE t.tgisinternal AND t.tgenabled IN ('D', 'R')
ORDER BY 1, 2, 3
