"""Names, tables and files of the simulated BIDS dataset."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

import cordlesion
from cordlesion.io.reading import read_json
from cordlesion.io.tables import write_table
from cordlesion.io.volume import Volume, write_volume
from cordlesion.io.writing import write_json
from cordlesion.simulate.numbered import number_lesions
from cordlesion.simulate.plan import SubjectPlan
from cordlesion.simulate.scan import ScanPlan, SimulatedScan
from cordlesion.simulate.site import draw_site
from cordlesion.simulate.true_lesions import NUMBERED, TRUE_LESIONS, described_columns

MARKER = Path("code/simulation.json")
"""This file identifies a simulated cohort; the content of ``code/`` is not defined by BIDS."""
LABELS = Path("derivatives/labels")
ACQUISITIONS = {
    ("sagittal", "cervical"): "sag", ("sagittal", "cervicothoracic"): "sagcervicothoracic",
    ("sagittal", "thoracic"): "sagthoracic", ("axial", "cervical"): "ax",
}  # fmt: skip
"""The ``acq`` entity of each protocol."""
BIDS_VERSION = "1.10.0"


def subject_name(index: int) -> str:
    """Return the BIDS name of a subject, e.g. ``sub-001``."""
    return f"sub-{index + 1:03d}"


def scan_name(plan: ScanPlan) -> str:
    """Return the name of a scan without suffix, e.g. ``sub-001_ses-01_acq-sag``."""
    return f"{subject_name(plan.subject)}_{session_name(plan)}_acq-{ACQUISITIONS[plan.plane, plan.region]}"


def session_name(plan: ScanPlan) -> str:
    """Return the BIDS name of a session, e.g. ``ses-01``, or ``ses-01repeat1`` of a rescan."""
    return f"ses-{plan.session:02d}{f'repeat{plan.repeat}' if plan.repeat else ''}"


def is_complete(out: Path, plan: ScanPlan) -> bool:
    """Return whether a scan and its labels are on disk; the sidecar is written last."""
    return _sidecar_path(out, plan).is_file()


def write_scan(out: Path, scan: SimulatedScan) -> None:
    """Write a scan, its labels and its sidecar."""
    plan = scan.plan
    labels = out / LABELS / _folder(plan)
    masks = {
        "label-lesion_seg": scan.reference,
        "label-lesion_desc-true_seg": scan.true_lesions,
        "label-cord_seg": scan.cord,
        "label-centerline_seg": scan.centerline,
    }
    grid = Volume(scan.image.data, scan.image.affine, _header(scan.image))
    for suffix, mask in masks.items():
        write_volume(labels / f"{scan_name(plan)}_{suffix}.nii.gz", mask.data, grid)
    numbered, rows = number_lesions(scan, scan_name(plan), subject_name(plan.subject))
    write_volume(labels / f"{scan_name(plan)}_{NUMBERED}.nii.gz", numbered, grid)
    write_json(_lesions_path(out, plan), {"Lesions": [asdict(row) for row in rows]})
    write_volume(out / _folder(plan) / f"{scan_name(plan)}_T2w.nii.gz", scan.image.data, grid)
    write_json(_sidecar_path(out, plan), _sidecar(scan))


def write_lesions(out: Path, plans: Iterable[ScanPlan]) -> None:
    """Write the table of the true lesions of all scans; none if scans of an earlier version are among them."""
    paths = [_lesions_path(out, plan) for plan in plans]
    if not all(path.is_file() for path in paths):
        return
    rows = [row for path in paths for row in read_json(path, dict)["Lesions"]]
    write_table(out / LABELS / TRUE_LESIONS.file, pd.DataFrame(rows, columns=list(TRUE_LESIONS.names)), TRUE_LESIONS)
    write_json(out / LABELS / "true_lesions.json", described_columns())


def _lesions_path(out: Path, plan: ScanPlan) -> Path:
    """Return the description of the numbered mask of a scan, which holds the rows of its lesions."""
    return out / LABELS / _folder(plan) / f"{scan_name(plan)}_{NUMBERED}.json"


def dataset_texts(subjects: tuple[SubjectPlan, ...], seed: int) -> dict[str, str]:
    """Return names and contents of the files that describe the dataset."""
    return {
        "dataset_description.json": _json(
            _description("raw", f"Simulated T2-weighted spinal cords with MS lesions (seed {seed})")
        ),
        "README": README,
        "participants.tsv": _participants(subjects, seed),
        "participants.json": _json(COLUMNS),
        f"{LABELS}/dataset_description.json": _json(_description("derivative", "Lesion, cord and centerline labels")),
        f"{LABELS}/README": LABELS_README,
        # Spinal cord tools read the suffix "seg"; BIDS defines only dseg, probseg and mask.
        f"{LABELS}/.bidsignore": "*_seg.nii.gz\ntrue_lesions.*\n",
    }


def sessions_texts(subjects: Iterable[SubjectPlan], rescans: Iterable[ScanPlan], seed: int) -> dict[str, str]:
    """Return names and contents of the tables that state which scans repeat each other; none without rescans."""
    repeated: dict[int, list[ScanPlan]] = {}
    for plan in rescans:
        repeated.setdefault(plan.subject, []).append(plan)
    texts = {}
    for subject in (one for one in subjects if one.index in repeated):
        plans = [*subject.scans(seed), *repeated[subject.index]]
        first = session_name(plans[0])
        rows = {session_name(plan): f"{first if _is_repeated(plan, first) else 'n/a'}\t{_site(plan)}" for plan in plans}
        path = f"{subject_name(subject.index)}/{subject_name(subject.index)}_sessions"
        lines = ["session_id\trepeat\tsite", *(f"{session}\t{row}" for session, row in rows.items())]
        texts[f"{path}.tsv"] = "\n".join(lines) + "\n"
        texts[f"{path}.json"] = _json(SESSION_COLUMNS)
    return texts


def _is_repeated(plan: ScanPlan, first: str) -> bool:
    return plan.repeat > 0 or session_name(plan) == first


def _site(plan: ScanPlan) -> str:
    return f"site-{plan.site + 1:02d}"


def _folder(plan: ScanPlan) -> Path:
    return Path(subject_name(plan.subject)) / session_name(plan) / "anat"


def _sidecar_path(out: Path, plan: ScanPlan) -> Path:
    return out / _folder(plan) / f"{scan_name(plan)}_T2w.json"


def _header(image: Volume) -> nib.Nifti1Header:
    """Return a header with sform and qform, as converters from DICOM write it."""
    header = nib.Nifti1Image(np.zeros(image.data.shape, dtype=np.int16), image.affine).header
    header.set_qform(image.affine, code=1)
    header.set_sform(image.affine, code=1)
    header.set_xyzt_units("mm")
    return header


def _sidecar(scan: SimulatedScan) -> dict[str, object]:
    site, acquisition = scan.site, scan.acquisition
    return {
        "Modality": "MR",
        "Manufacturer": site.manufacturer,
        "ManufacturersModelName": site.model,
        "MagneticFieldStrength": site.field_tesla,
        "InstitutionName": f"site-{site.index + 1:02d}",
        "MRAcquisitionType": "3D" if acquisition.is_3d else "2D",
        "ScanningSequence": "SE",
        "EchoTime": site.echo_time_s,
        "RepetitionTime": site.repetition_time_s,
        "SliceThickness": round(acquisition.thickness_mm, 3),
        "SpacingBetweenSlices": round(acquisition.slice_mm, 3),
        "BodyPart": "CSPINE" if acquisition.region == "cervical" else "TSPINE",
        "Simulated": True,
    }


def _participants(subjects: tuple[SubjectPlan, ...], seed: int) -> str:
    rows = ["participant_id\tage\tsex\tsite\tscanner"]
    for subject in subjects:
        site = draw_site(seed, subject.site)
        scanner = f"{site.manufacturer} {site.model} {site.field_tesla:g}T"
        person = subject.person
        row = (subject_name(subject.index), f"{person.age:g}", person.sex, f"site-{site.index + 1:02d}", scanner)
        rows.append("\t".join(row))
    return "\n".join(rows) + "\n"


def _description(kind: str, name: str) -> dict[str, object]:
    return {
        "Name": name,
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": kind,
        "License": "CC0",
        "Authors": ["The cordlesion developers"],
        "GeneratedBy": [{"Name": "cordlesion simulate", "Version": cordlesion.__version__}],
    }


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


COLUMNS = {
    "age": {"Description": "Age at the first visit", "Units": "year"},
    "sex": {"Description": "Sex", "Levels": {"F": "female", "M": "male"}},
    "site": {"Description": "Centre where the subject was scanned"},
    "scanner": {"Description": "Manufacturer, model and field strength in tesla"},
}
SESSION_COLUMNS = {
    "repeat": {"Description": "Scans with the same value repeat each other: the subject did not change in between"},
    "site": {"Description": "Centre of the session"},
}
README = """\
Simulated T2-weighted scans of the spinal cord with multiple-sclerosis lesions, made by `cordlesion simulate`.
Nobody was scanned: use this dataset to try and to test software, never to draw conclusions about patients.

Labels are in derivatives/labels.
"""
LABELS_README = """\
Labels of the simulated scans, on each scan's own grid.

label-lesion_seg            the reference: lesions as a simulated reader marked them (empty if none was found)
label-lesion_desc-true_seg  the true lesions, which a real dataset cannot offer
desc-lesions_dseg                the same, with the number of the lesion in true_lesions.tsv
label-cord_seg              the spinal cord, from the top of C1 down
label-centerline_seg        the cord's centre, one voxel per axial slice
true_lesions.tsv            a row per true lesion in view of a scan
"""
