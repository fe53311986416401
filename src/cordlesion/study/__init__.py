"""First door, a whole study: setup, stages in their order, fingerprints, status.

Imported by the command line and users only. May import everything below the doors.
"""
