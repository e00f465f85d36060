-- Which of the parameters ($1) we may set although they are for superusers; servers before 15 know no such privilege.
SELECT p.name AS name FROM unnest($1::text[]) p(name) WHERE pg_catalog.has_parameter_privilege(p.name, 'SET')
