"""DAGs to copy from, run by pgmigrate's own tests."""
