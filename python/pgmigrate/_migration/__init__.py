"""The migration and its verbs, alone, in parts and many at once."""
