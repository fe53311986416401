"""Where the cord is: the centerline, drawn or found by the detector, which runs on NumPy.

Never imports torch, but for ``training/``, with which the detector of the package is trained.
"""
