"""Which files of a folder are scans and references, whatever they are called."""
