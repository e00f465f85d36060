"""What is kept of a safe procedure from one process to the next, and what follows from it."""
