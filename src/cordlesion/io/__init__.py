"""Reading and writing of files (volumes, JSON, YAML), checks of input and output paths, and progress bars.

From the rest of the package, only the errors are imported.
"""
