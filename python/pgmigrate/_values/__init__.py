"""The base of all other modules: records of the core, findings, errors, texts for people."""
