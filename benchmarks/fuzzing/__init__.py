"""Generators of hostile inputs for ``fuzz_inputs.py``: a module per kind of file."""
