-- The extensions that CREATE EXTENSION can install, each in its default version, and whether that requires a superuser.
SELECT e.name::text AS name,
       e.default_version AS version,
       coalesce(v.superuser AND NOT v.trusted, true) AS needs_superuser
FROM pg_catalog.pg_available_extensions e
LEFT JOIN pg_catalog.pg_available_extension_versions v ON v.name = e.name AND v.version = e.default_version
ORDER BY e.name COLLATE "C"
