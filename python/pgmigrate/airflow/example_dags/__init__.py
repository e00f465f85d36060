"""Example DAGs, run by pgmigrate's own tests."""
