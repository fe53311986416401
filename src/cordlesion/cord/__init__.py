"""The position of the spinal cord: the centerline, read from a file or found by a detector that runs on NumPy.

Only ``training/``, which trains the detector, imports torch.
"""
