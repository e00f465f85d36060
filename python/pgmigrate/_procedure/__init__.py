"""The safe procedure: commands of the user around a migration, its steps, and its report."""
