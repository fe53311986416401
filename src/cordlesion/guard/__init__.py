"""Whether a scan, and what was found in it, look like the scans that a model was trained on (no torch).

A profile of the training scans lies beside the model. May import everything below ``model``.
"""
