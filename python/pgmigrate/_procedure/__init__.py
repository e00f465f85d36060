"""The safe procedure: user-defined commands around a migration, its steps, and its report."""
