-- Which of the parameters ($1) the connecting role may not set for a role, a database or a function: those for superusers, and those that
-- the server does not know. Only superusers may set a parameter of an extension that is not loaded. The catalog may have a name in other
-- letters than pg_settings, such as timezone. The condition lists parameters that every role may set and pg_settings does not show.
SELECT p.name AS name
FROM unnest($1::text[]) p(name)
LEFT JOIN pg_catalog.pg_settings s ON lower(s.name) = lower(p.name)
WHERE s.context IS DISTINCT FROM 'user'
  AND lower(p.name) NOT IN ('role', 'session_authorization', 'seed')
