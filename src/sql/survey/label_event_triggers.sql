-- The event triggers that fire before a SECURITY LABEL of this session, quoted. From 17 on a setting disables all of them for a session.
SELECT pg_catalog.quote_ident(e.evtname) AS name
FROM pg_catalog.pg_event_trigger e
WHERE e.evtevent = 'ddl_command_start'
  AND (e.evttags IS NULL OR 'SECURITY LABEL' = ANY (e.evttags))
  AND (e.evtenabled = 'A'
       OR e.evtenabled = CASE pg_catalog.current_setting('session_replication_role') WHEN 'replica' THEN 'R' ELSE 'O' END)
  AND pg_catalog.current_setting('event_triggers', true) IS DISTINCT FROM 'off'
ORDER BY e.evtname
