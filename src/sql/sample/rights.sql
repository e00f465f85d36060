-- Where the role may make tables for a sample: in a schema of its own, or in that of the ledger.
SELECT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'),
    EXISTS (
        SELECT FROM pg_catalog.pg_namespace AS n
        WHERE n.nspname = $1 AND pg_catalog.has_schema_privilege(n.oid, 'CREATE')
    )
