"""How many subjects, scans and seeds a study needs, from the tables of a pilot study (no torch)."""
