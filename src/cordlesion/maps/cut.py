"""Make masks of probability maps of any tool by a tuned rule, from files (no torch)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np
import pandas as pd

from cordlesion import __version__
from cordlesion.dataset.matching import MapPair, images_behind
from cordlesion.dataset.patient_folders import Placed
from cordlesion.dataset.scan_names import file_stem, files_below, illegible, scan_file
from cordlesion.errors import CordlesionError
from cordlesion.execution.local import map_scans
from cordlesion.io.formats import plural
from cordlesion.io.html import html_notes
from cordlesion.io.outputs import check_output_folder, optional_path
from cordlesion.io.progress import show_message
from cordlesion.io.reading import read_json
from cordlesion.io.volume import Volume, read_grid, write_volume
from cordlesion.io.writing import write_json
from cordlesion.maps.cut_instances import check_instances, remove_instances, write_cut_instances
from cordlesion.maps.files import only_zeros_and_ones, refuse_masks, usable_results
from cordlesion.maps.promise import recall_promises
from cordlesion.metrics import label_components, resolve_rule
from cordlesion.nnunet.predictions import EXPORT, list_maps, list_part, read_map
from cordlesion.threshold.lesion_calibration import why_uncalibrated
from cordlesion.threshold.mask_rule import MaskRule, is_other_rule, read_mask_rule, rule_beside, write_rule_beside

MaskNames: TypeAlias = Literal["auto", "bids", "same"]
"""How masks are named: ``bids``: ``<map>_label-lesion_mask``; ``same``: as the map; ``auto``: as the map suggests."""
_ENDING = ".nii.gz"
_OF_MAPS = ("_label-lesion_probseg", "_probseg")


@dataclass(frozen=True, eq=False)
class CutMasks:
    """The masks that were made of probability maps.

    Examples:
        >>> import cordlesion
        >>> cut = cordlesion.cut_files("maps", 0.3, "cut_masks", overwrite=True)
        >>> cut.table.columns.tolist()
        ['scan_id', 'map', 'mask', 'threshold', 'n_lesions', 'volume_mm3']
    """

    table: pd.DataFrame
    """A row per map: name of the scan, paths of map and mask, the threshold that was applied, and how many lesions of
    which volume together the mask holds; where instances are written, the path of their image, too."""
    excluded: Mapping[str, str]
    """The maps that could not be used, each with the reason."""

    def __repr__(self) -> str:
        return f"CutMasks({plural(len(self.table), 'mask')}, {len(self.excluded)} excluded)"

    def _repr_html_(self) -> str:
        excluded = [f"Excluded: {reason}" for reason in self.excluded.values()]
        return self.table.to_html(index=False, float_format="{:.3g}".format) + html_notes(excluded)


@dataclass(frozen=True)
class _Cut:
    """A map, and where its mask goes."""

    scan_id: str
    source: Path
    mask: Path
    image: Path | None = None
    """The scan, which gives the grid of an export of nnU-Net."""

    @property
    def sidecar(self) -> Path:
        """The JSON file beside the mask."""
        return self.mask.with_name(f"{file_stem(self.mask)}.json")


def cut_files(
    probability: Path | str,
    threshold: Path | str | float,
    output: Path | str,
    *,
    names: MaskNames = "auto",
    images: Path | str | None = None,
    lesion_class: int | None = None,
    overwrite: bool = False,
    code: Path | str | None = None,
    instances: bool = False,
) -> CutMasks:
    """Make lesion masks of probability maps, by the rule that :func:`cordlesion.tune_files` chose or by one threshold.

    A mask has the grid of its map. Beside each, a file of the same name (.json) holds the map and the rule, and
    ``threshold_rule.json`` the rule with the scans that it was tuned on. A map that cannot be used is excluded and
    listed; the others go on.

    Args:
        probability: A probability map or a folder of maps, as for :func:`cordlesion.tune_files`.
        threshold: The file that :func:`cordlesion.tune_files` wrote, or a number: a voxel is lesion when p >= t.
        output: Folder of the masks.
        names: ``bids``: the map's name with ``_label-lesion_mask`` in place of ``_probseg``; ``same``: the map's name;
            ``auto``: ``bids`` for maps with names of BIDS (``sub-``, or ``_probseg`` at the end), ``same`` for others,
            such as those of nnU-Net.
        images: The scans, or their folder: needed for exports of nnU-Net that lie without its masks.
        lesion_class: Number of the class that is lesion, in nnU-Net's exports of more than two.
        overwrite: Replace masks of these names, their JSON files, and the rule beside them.
        code: Folder of the module of a threshold rule of your own. Its code is run: give it only for files that you
            trust.
        instances: Write the number of its lesion in each voxel, too (``*_dseg.nii.gz``), and a table of the lesions
            with the probability that each is real.

    Returns:
        The masks, and what was excluded.

    Raises:
        CordlesionError: There is no map or no rule, two maps give one mask, a mask or its JSON file is there already,
            the folder holds masks of another rule, or nothing could be cut.

    Examples:
        >>> import cordlesion
        >>> choice = cordlesion.tune_files("references", "maps", output="thresholds.json")
        >>> cut = cordlesion.cut_files("maps", "thresholds.json", "cut_masks", overwrite=True)
        >>> len(cut.table), bool((cut.table["threshold"] == choice.value).all())
        (10, True)
    """
    source, folder, scans = Path(probability), check_output_folder(Path(output)), optional_path(images)
    if names not in get_args(MaskNames):
        raise CordlesionError(f"{names!r} names no masks; one of {', '.join(get_args(MaskNames))} is needed.")
    rule = read_mask_rule(threshold, code)
    found = list_maps(source)
    unusable = {str(path): fault for path in found if (fault := illegible(path))}
    maps = [path for path in found if str(path) not in unusable]
    if not maps:
        raise CordlesionError(
            next(iter(unusable.values()), f"{source}: no map found; .nii.gz, .nii or .npz files are needed. Check it.")
        )
    planned = _plan(maps, source, folder, names)
    _check_targets(planned, overwrite)
    _check_rule(planned, folder, rule, overwrite)
    if instances:
        check_instances([one.mask for one in planned], overwrite=overwrite)
    planned = _with_images(planned, source, scans)
    read = _require_maps(planned, source, lesion_class)
    cut = partial(_cut, rule=rule, lesion_class=lesion_class, read=read, instances=instances)
    outcomes = map_scans(cut, planned, "cut maps")
    rows, excluded = usable_results(outcomes, unusable)
    write_rule_beside(folder, rule)
    for one in planned:
        if one.scan_id in excluded and one.mask.exists():
            show_message(f"{one.mask}: was there before and stays, because its map is excluded. Delete it.")
    if instances and (why := why_uncalibrated(rule.lesions, rule.rule)):
        show_message(f"lesions have no probability of being real: {why}")
    promised = f" ({recall_promises(rule.promises)})" if rule.promises else ""
    show_message(f"{plural(len(rows), 'mask')} at {rule.summary}{promised}: {folder}")
    return CutMasks(pd.DataFrame(rows), excluded)


def _plan(maps: Sequence[Path], source: Path, folder: Path, names: MaskNames) -> list[_Cut]:
    """Name the masks; maps in folders per patient keep their folders, which names without ``sub-`` do not show."""
    planned = []
    counts = Counter(path.name for path in maps)
    for path in maps:
        in_folders = counts[path.name] > 1 or (_of_patient(path, source) and not scan_file(path).entities)
        place = path.parent.relative_to(source) if in_folders else Path()
        named = "_".join([*place.parts, scan_file(path).name])
        planned.append(_Cut(named, path, folder / place / _mask_name(path, names)))
    return planned


def _of_patient(path: Path, source: Path) -> bool:
    """Return whether a map lies in a folder that may be a patient's; those of nnU-Net's folds are none."""
    return path.suffix != EXPORT and bool(Placed.below(path, source).folders)


def _mask_name(path: Path, names: MaskNames) -> str:
    stem = file_stem(path)
    plain = next((stem.removesuffix(ending) for ending in _OF_MAPS if stem.endswith(ending)), stem)
    if names == "bids" or (names == "auto" and (plain != stem or stem.startswith("sub-"))):
        entity = "" if "_label-" in plain else "_label-lesion"
        return f"{plain}{entity}_mask{_ENDING}"
    return f"{stem}{_ENDING}"


def _check_targets(planned: Sequence[_Cut], overwrite: bool) -> None:
    """Refuse masks that would replace each other, a file that is read, or a file that is there."""
    first: dict[Path, _Cut] = {}
    sources = {one.source.resolve() for one in planned}
    beside = {path.with_name(f"{file_stem(path)}{_ENDING}") for path in sources}
    for one in planned:
        if (same := first.setdefault(one.mask, one)) is not one:
            raise CordlesionError(
                f"{one.source}: would give the same mask as {same.source} ({one.mask.name}); one map per scan is "
                "needed. Put the maps to cut into a separate folder."
            )
        target = one.mask.resolve()
        if target in sources or (target in beside and target.exists()):
            raise CordlesionError(
                f"{one.mask}: lies among the maps that are read, and would be overwritten; another folder is needed. "
                "Choose another --output, or --names bids."
            )
        there = next((path for path in (one.mask, one.sidecar) if path.exists()), None)
        if there is not None and not overwrite:
            raise CordlesionError(
                f"{there}: is there already; nothing is replaced unasked. Choose another folder, or --overwrite."
            )


def _check_rule(planned: Sequence[_Cut], folder: Path, rule: MaskRule, overwrite: bool) -> None:
    """Refuse to replace the rule of other masks: it names the subjects that these must not be measured on."""
    path = rule_beside(folder)
    if not is_other_rule(path, rule):
        return
    if not overwrite:
        raise CordlesionError(
            f"{path}: is there already, with another rule or other tuning scans; a folder holds the masks of one rule. "
            "Choose another folder, or --overwrite."
        )
    replaced = {one.sidecar for one in planned}
    stays = next((one for one in files_below(folder) if one not in replaced and _is_sidecar(one)), None)
    if stays is not None:
        raise CordlesionError(
            f"{stays}: its mask is of the rule in {path.name}, and would stay without it; a folder holds the masks of "
            "one rule. Choose another folder."
        )


def _is_sidecar(path: Path) -> bool:
    """Return whether a file is what :func:`cut_files` writes beside a mask."""
    try:
        return path.suffix == ".json" and "ThresholdRule" in read_json(path, dict)
    except CordlesionError:
        return False


def _with_images(planned: Sequence[_Cut], source: Path, images: Path | None) -> list[_Cut]:
    """Find the scan of each map, where a folder of scans is given."""
    if images is None:
        return list(planned)
    if images.is_file() and len(planned) == 1:
        return [replace(planned[0], image=images)]
    given = [scan_file(path) for path in list_part(images, "images") if not illegible(path)]
    pairs = [MapPair(one.scan_id, "", "", one.source, one.source) for one in planned]
    behind = images_behind(pairs, [file for file in given if not file.is_derived], images, source)
    return [replace(one, image=behind.get(one.scan_id)) for one in planned]


def _require_maps(planned: Sequence[_Cut], source: Path, lesion_class: int | None) -> dict[Path, Volume]:
    """Refuse maps that are all masks; as a rule, the first map shows that they are not: it is returned."""
    are_masks = False
    for one in planned:
        try:
            probability = _read(one, lesion_class)
        except CordlesionError:
            continue  # it is excluded with its reason
        found = only_zeros_and_ones(probability)
        if found is False:
            return {one.source: probability}
        are_masks = are_masks or bool(found)
    if are_masks:
        raise refuse_masks(source)
    return {}


def _read(one: _Cut, lesion_class: int | None) -> Volume:
    return read_map(one.source, None if one.image is None else read_grid(one.image), lesion_class)


def _cut(
    one: _Cut, *, rule: MaskRule, lesion_class: int | None, read: dict[Path, Volume], instances: bool
) -> dict[str, object]:
    """Write the mask of a map and its sidecar, and its instances where they are asked for; returns its row."""
    held = read.pop(one.source, None)
    probability = _read(one, lesion_class) if held is None else held
    mask, threshold = rule.make_mask(probability)
    remove_instances(one.mask)
    write_volume(one.mask, mask, probability)
    write_json(one.sidecar, _describe(one, rule, threshold))
    voxel_mm3 = float(np.prod(probability.spacing_mm))
    return {
        "scan_id": one.scan_id,
        "map": str(one.source),
        "mask": str(one.mask),
        "threshold": threshold,
        "n_lesions": len(label_components(mask, resolve_rule("study"), voxel_mm3).sizes),
        "volume_mm3": float(np.count_nonzero(mask)) * voxel_mm3,
        **({"instances": str(write_cut_instances(one.mask, mask, probability, rule))} if instances else {}),
    }


def _describe(one: _Cut, rule: MaskRule, threshold: float) -> dict[str, object]:
    return {
        "Description": f"Lesion mask: {rule.summary} (research use only)",
        "Sources": [one.source.name],
        "Threshold": None if np.isnan(threshold) else threshold,
        "ThresholdRule": rule.record()["threshold_rule"],
        "Postprocessing": rule.record()["postprocess"],
        "GeneratedBy": [{"Name": "cordlesion", "Version": __version__}],
    }
