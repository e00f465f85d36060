"""The benchmark: pgmigrate next to other ways to copy a database, on servers of its own."""
