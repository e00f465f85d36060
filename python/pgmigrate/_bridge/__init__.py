"""The interface to the core and to the operating system: jobs, options, files, logs, signals."""
