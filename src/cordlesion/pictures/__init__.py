"""Pictures of scans, masks and lesions, and parts of HTML pages. Never imports torch.

Used by the report, the explorer, ``scan`` and ``maps``; independent of studies.
"""
