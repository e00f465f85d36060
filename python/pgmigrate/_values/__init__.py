"""What everything else is made of: records of the core, findings, errors, texts for people."""
