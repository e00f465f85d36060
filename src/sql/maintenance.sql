-- The resources that the server allows for the build of one index, and the size of shared memory, which is a measure of the machine's
-- memory; in bytes (https://www.postgresql.org/docs/current/runtime-config-resource.html).
SELECT pg_catalog.pg_size_bytes(pg_catalog.current_setting('maintenance_work_mem')) AS memory,
       pg_catalog.current_setting('max_parallel_maintenance_workers')::pg_catalog.int8 AS workers,
       pg_catalog.pg_size_bytes(pg_catalog.current_setting('shared_buffers')) AS shared
