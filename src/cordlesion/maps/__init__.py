"""Third door, masks and probability maps of any tool: evaluate, tune, cut, compare. Never imports torch.

Imported by the command line and users only. May import everything below the doors.
"""
