"""Which scans exist, what is known about them, and who is in which set."""
