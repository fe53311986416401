"""The explorer: a finished study in the browser, scan by scan, with a threshold to move (reads only, never torch)."""
