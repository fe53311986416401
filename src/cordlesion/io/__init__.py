"""Files in and out: volumes, tables, JSON, YAML, progress; what may be read and where may be written.

Imports nothing of the package but the errors.
"""
