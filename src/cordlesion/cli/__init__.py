"""The command line: one function per command, which calls one function of a door.

May import everything; nothing imports it. Heavy imports stand inside the commands, so that ``--help`` is fast.
"""

from cordlesion.cli.app import main as main
