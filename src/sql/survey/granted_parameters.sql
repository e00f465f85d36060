-- Which of the superuser parameters ($1) the connecting role may set; servers before 15 have no such privilege.
SELECT p.name AS name FROM unnest($1::text[]) p(name) WHERE pg_catalog.has_parameter_privilege(p.name, 'SET')
