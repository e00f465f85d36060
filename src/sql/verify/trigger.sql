-- The properties of a trigger ($1). Its condition can be parsed again over two rows of its table.
SELECT 'relation' AS part, ''::text AS name, p.property, p.fact, p.expression, pg_catalog.format('%s AS old, %s AS new', t.tgrelid::pg_catalog.regclass, t.tgrelid::pg_catalog.regclass) AS scope
FROM pg_catalog.pg_trigger t
CROSS JOIN LATERAL (VALUES
    ('enabled state', t.tgenabled::text, NULL),
    ('function', t.tgfoid::pg_catalog.regprocedure::text, NULL),
    ('timing or event', t.tgtype::text, NULL),
    ('DEFERRABLE', t.tgdeferrable::text, NULL),
    ('INITIALLY DEFERRED', t.tginitdeferred::text, NULL),
    ('columns', ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a WHERE a.attrelid = t.tgrelid AND a.attnum = ANY (t.tgattr) ORDER BY 1)::text, NULL),
    ('arguments', encode(t.tgargs, 'hex'), NULL),
    ('transition tables', concat_ws(',', 'old:' || t.tgoldtable, 'new:' || t.tgnewtable), NULL),
    ('constraint', (t.tgconstraint <> 0)::text, NULL),
    ('WHEN', NULL, (SELECT m[1] FROM regexp_match(pg_catalog.pg_get_triggerdef(t.oid), ' WHEN (\(.*\)) EXECUTE (?:FUNCTION|PROCEDURE) ') AS m))
) AS p (property, fact, expression)
WHERE t.oid = $1 AND ($2 OR NOT $2)
ORDER BY 1, 2, 3
