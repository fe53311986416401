"""Which loss and which decision threshold segment MS lesions of the spinal cord best, and how sure is that."""

__version__ = "0.1.0"
