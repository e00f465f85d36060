-- The event triggers that fire on this session's statements, quoted. From 17 on a setting disables all of them for a session.
SELECT pg_catalog.quote_ident(e.evtname) AS name
FROM pg_catalog.pg_event_trigger e
WHERE e.evtenabled IN ('O', 'A') AND e.evtevent <> 'login'
  AND pg_catalog.current_setting('event_triggers', true) IS DISTINCT FROM 'off'
ORDER BY e.evtname
