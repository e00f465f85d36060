"""The benchmark: pgmigrate beside other ways to copy a database, on servers of its own."""
