"""The files of a dataset of implanted lesions: a BIDS dataset with its labels as a derivative (no torch)."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

import cordlesion
from cordlesion.detectability.design import Design
from cordlesion.detectability.sources import Source
from cordlesion.io.arrays import Array, Float32Array, Mask, UInt8Array
from cordlesion.io.reading import read_json
from cordlesion.io.tables import write_table
from cordlesion.io.volume import Volume, write_volume
from cordlesion.io.writing import atomic_path, write_json, write_text
from cordlesion.simulate.bids import BIDS_VERSION, LABELS
from cordlesion.simulate.true_lesions import NUMBERED, TRUE_LESIONS, TrueLesion, described_columns

NO_ROOM = "LesionsWithoutRoom"
"""Key of the table's JSON file: how many lesions of the design were left out, by copy."""
UNCHANGED = "unchanged"
"""Label of the copies without lesions."""


@dataclass(frozen=True)
class CopyName:
    """The name of one copy of a scan."""

    source: Source
    label: str
    """Label of the entity ``rec``."""

    @property
    def scan_id(self) -> str:
        """The BIDS entities, e.g. ``sub-01_rec-implant01``."""
        return "_".join(f"{key}-{value}" for key, value in self.source.entities(self.label).items())

    @property
    def subject(self) -> str:
        """The subject, e.g. ``sub-01``."""
        return f"sub-{self.source.entities(self.label)['sub']}"

    @property
    def folder(self) -> Path:
        """Where it lies in a BIDS dataset."""
        session = self.source.entities(self.label).get("ses")
        return Path(self.subject, *([f"ses-{session}"] if session else []), "anat")


class ImplantedDataset:
    """Writes copies, their labels and the files that describe them."""

    def __init__(self, root: Path, design: Design) -> None:
        """Begin a dataset in a folder that is locked by the caller."""
        self.root, self.design = root, design
        self._subjects: dict[str, str] = {}

    def copy(
        self,
        name: CopyName,
        scan: Volume,
        numbered: UInt8Array,
        fill: Float32Array,
        cord: Mask,
        centerline: Mask,
        image: Array | None = None,
    ) -> None:
        """Write one copy with its labels; without ``image`` it is the scan's file, byte for byte."""
        place = self.root / name.folder / f"{name.scan_id}_T2w{name.source.suffix}"
        labels = self.root / LABELS / name.folder
        masks = {
            "label-lesion_seg": numbered > 0,
            NUMBERED: numbered,
            "label-lesion_desc-fill_probseg": fill,
            "label-cord_seg": cord,
            "label-centerline_seg": centerline,
        }
        for suffix, data in masks.items():
            write_volume(labels / f"{name.scan_id}_{suffix}.nii.gz", data, scan)
        if image is None:
            with atomic_path(place) as temporary:
                shutil.copyfile(name.source.image, temporary)
        else:
            write_volume(place, image, scan)
        write_json(
            self.root / name.folder / f"{name.scan_id}_T2w.json", self._sidecar(name, is_changed=image is not None)
        )
        self._subjects[name.subject] = name.source.image.name

    def _sidecar(self, name: CopyName, *, is_changed: bool) -> dict[str, object]:
        own = name.source.image.with_name(name.source.image.name.removesuffix(name.source.suffix) + ".json")
        held = read_json(own, dict) if own.is_file() else {}
        return {**held, "ImplantedLesions": is_changed}

    def finish(self, rows: Sequence[TrueLesion], no_room: Mapping[str, int]) -> None:
        """Write the table of the lesions and the files that describe the dataset.

        Args:
            rows: The lesions.
            no_room: How many lesions were left out of a copy, because they had no room; copies without such are absent.
        """
        table = pd.DataFrame([asdict(row) for row in rows], columns=list(TRUE_LESIONS.names))
        write_table(self.root / LABELS / TRUE_LESIONS.file, table, TRUE_LESIONS)
        write_json(self.root / LABELS / "true_lesions.json", {**described_columns(), NO_ROOM: dict(no_room)})
        people = "".join(f"{subject}\t{source}\n" for subject, source in sorted(self._subjects.items()))
        write_text(self.root / "participants.tsv", f"participant_id\tsource\n{people}")
        write_json(self.root / "participants.json", {"source": {"Description": "File that lesions were put into"}})
        write_json(self.root / "dataset_description.json", self._description("raw", "Implanted MS lesions"))
        write_text(self.root / "README", README)
        write_json(self.root / LABELS / "dataset_description.json", self._description("derivative", "Labels"))
        write_text(self.root / LABELS / "README", LABELS_README)
        write_text(self.root / LABELS / ".bidsignore", IGNORED)

    def _description(self, kind: str, name: str) -> dict[str, object]:
        design = json.loads(json.dumps(asdict(self.design)))
        by = {"Name": "cordlesion implant", "Version": cordlesion.__version__, "Design": design}
        return {"Name": name, "BIDSVersion": BIDS_VERSION, "DatasetType": kind, "GeneratedBy": [by]}


README = """\
Real scans of healthy cords with lesions that were put in by `cordlesion implant`.
Use this dataset to measure what a method can detect, never to draw conclusions about patients.

rec-unchanged is the scan as it was, byte for byte; the others (rec-implant01, ...) have the lesions that
derivatives/labels/true_lesions.tsv lists.
"""
LABELS_README = """\
Labels of the scans, on each scan's own grid.

label-lesion_seg                 the reference: voxels of which at least half is lesion
desc-lesions_dseg                the same, with the number of the lesion in true_lesions.tsv
label-lesion_desc-fill_probseg   the share of each voxel that is lesion; its integral is volume_mm3 of the table
label-cord_seg                   the spinal cord, as given or as estimated
label-centerline_seg             the cord's centre, one voxel per axial slice
true_lesions.tsv                 a row per lesion
"""
IGNORED = "*_seg.nii.gz\ntrue_lesions.*\n"
"""Files of the labels that BIDS does not define."""
