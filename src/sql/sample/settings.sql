-- What a sample shares with a run: a foreign key is checked in the memory of maintenance and by one process
-- (https://www.postgresql.org/docs/current/runtime-config-resource.html), an index is built by the session itself.
SELECT set_config('work_mem', current_setting('maintenance_work_mem'), true),
    set_config('max_parallel_workers_per_gather', '0', true),
    set_config('max_parallel_maintenance_workers', '0', true)
