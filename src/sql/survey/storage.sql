-- Where and how tables can be stored: tablespaces with the right to use them, and table access methods.
SELECT 'tablespace' AS kind, t.spcname::text AS name, pg_catalog.has_tablespace_privilege(t.oid, 'CREATE') AS is_usable
FROM pg_catalog.pg_tablespace t
UNION ALL
SELECT 'access method', a.amname::text, true
FROM pg_catalog.pg_am a
WHERE a.amtype = 't'
ORDER BY 1, 2
