"""The journal of a safe procedure, kept from one process to the next, and its evaluation."""
