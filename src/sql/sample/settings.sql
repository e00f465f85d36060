-- Settings that make a sample work as a run does: a foreign key is checked within maintenance_work_mem and by one process
-- (https://www.postgresql.org/docs/current/runtime-config-resource.html), and the session itself builds an index.
SELECT set_config('work_mem', current_setting('maintenance_work_mem'), true),
    set_config('max_parallel_workers_per_gather', '0', true),
    set_config('max_parallel_maintenance_workers', '0', true)
