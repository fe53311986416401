"""Pictures of scans, masks and lesions, and what all pages share. Never imports torch.

Used by the report, the explorer and the doors; knows no study.
"""
