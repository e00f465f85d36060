"""The page of every public name, `python/pgmigrate/reference.md`: `python tests/reference`."""
