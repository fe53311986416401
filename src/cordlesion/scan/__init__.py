"""Second door, one scan: where the cord is, which voxels are lesion, and the files and report of it.

Imported by the command line and users only. May import everything below the doors.
"""
