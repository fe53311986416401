"""Cohorts of scans that need no files."""

from pathlib import Path

import numpy as np

from cordlesion.dataset.scan import Scan, ScanContent


def cohort(volumes_by_subject, sites=2):
    """Scans and contents from {subject: volume of each of its scans}; a lesion has 100 mm3."""
    scans, contents = [], {}
    for number, (subject, volumes) in enumerate(volumes_by_subject.items()):
        for session, volume in enumerate(volumes):
            name = f"{subject}_ses-{session}"
            scans.append(Scan(name, subject, str(session), f"site{number % sites}", Path(f"{name}.nii.gz")))
            contents[name] = ScanContent(int(np.ceil(volume / 100)), volume, f"hash of {name}")
    return scans, contents
