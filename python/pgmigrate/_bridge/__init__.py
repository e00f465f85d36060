"""The border to the core and to the system: jobs, options, files, logs and signals."""
