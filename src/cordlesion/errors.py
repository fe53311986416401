"""The one exception whose text is shown to the user without a traceback."""


class CordlesionError(Exception):
    """A mistake the user can mend: one sentence that names the file, what was found, what is needed and what to do."""
