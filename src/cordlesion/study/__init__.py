"""First door, a whole study: a file per stage, the loop over them, fingerprints, status, setup.

Imported by the command line and users only. May import everything below the doors.
"""
