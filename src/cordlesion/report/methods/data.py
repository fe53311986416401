"""The methods section on design, scans and preprocessing."""

from pathlib import Path

import pandas as pd

from cordlesion.config import SETS, CenterlineSource, PreprocessConfig, SplitConfig, StudyConfig
from cordlesion.dataset import origin
from cordlesion.io.formats import plural
from cordlesion.pictures.style import SET_NAMES
from cordlesion.report.demographics import read_demographics
from cordlesion.report.methods.citing import Cite, MethodsContext
from cordlesion.report.words import enumerate_words
from cordlesion.study_folder.results import StudyResults
from cordlesion.study_folder.runs import lesion_bearing, lesion_free

_CENTERLINES: dict[CenterlineSource, str] = {
    "auto": "found by a small convolutional network that scores each axial slice, followed by the one best curve "
    "through all slices, in outline as in {cite}",
    "file": "read from curves drawn for each scan",
    "cord_mask": "taken as the centre of mass of a cord mask in each slice",
    "sct": "found by the Spinal Cord Toolbox {cite}",
}
_CENTERLINE_SOURCES = {"auto": "gros2018", "sct": "deleener2017"}


def design(study: MethodsContext) -> str:
    """Describe what was compared, and after whom."""
    n_losses, n_seeds = len(study.config.losses), len(study.config.seeds)
    compared = f"{n_losses} loss functions" if n_losses > 1 else "one loss function"
    seeds = f", each trained with {n_seeds} random seeds" if n_seeds > 1 else ""
    others = len(study.config.comparators)
    more = f", together with {plural(others, 'other method')}" if others else ""
    reduced = f" This is a {study.config.reduced.description}." if study.config.reduced else ""
    return (
        f"Following Hussein et al. {study.cite('hussein2023')}, we compared {compared}{seeds}{more} for the "
        f"segmentation of lesions{_where(study.config)}, and chose for each the decision threshold at which its "
        f"probability maps are cut.{reduced}"
    )


def scans(study: MethodsContext) -> str:
    """Describe who was in which set, and how the sets were drawn."""
    everything = study.results.splits.drop_duplicates("scan_id")
    made = "simulated " if origin.is_simulated(study.config.dataset) else ""
    with_lesions = len(lesion_bearing(everything))
    subjects = everything["subject"].nunique()
    counts = (
        f"The data were {len(everything)} {made}scans of {subjects} subjects in the Brain Imaging Data Structure "
        f"{study.cite('gorgolewski2016')}, {with_lesions} of them with lesions in the reference mask."
    )
    excluded = len(study.results.manifest.get("excluded", {}))
    left_out = f" {excluded} further {'scan was' if excluded == 1 else 'scans were'} left out." if excluded else ""
    if partial := len(study.results.manifest.get("partial", {})):
        left_out += (
            f" In {partial} {'scan' if partial == 1 else 'scans'} the cord was lost at an end and searched in part; "
            "lesions beyond the place count as false negatives."
        )
    drawn = _split(study.config.split, study.results.splits)
    people = _people(study.results)
    return f"{counts}{people}{left_out} {drawn} {_sizes(study.results.splits, study.config.split)}".rstrip()


def _people(results: StudyResults) -> str:
    """Describe how old the subjects were, how many were women, which brands scanned them, and the size of voxels."""
    everything, known = results.splits.drop_duplicates("scan_id"), read_demographics(results)
    subjects, scans = everything["subject"].astype(str).unique(), everything["scan_id"].astype(str)
    sentences = ""
    if age := known.age(subjects):
        sentences += f" The subjects were {age} years old (mean ± standard deviation)."
    women, sexes = known.n_women(subjects)
    if sexes:
        sentences += f" Of {sexes} subjects of known sex {women} {'was a woman' if women == 1 else 'were women'}."
    if brands := known.brands_of(scans):
        one = "one brand" if len(brands) == 1 else f"{len(brands)} brands"
        sentences += f" Scanners were of {one} ({enumerate_words(brands)})."
    if voxel := known.voxel(scans):
        sentences += f" Voxels measured {voxel} mm (mean ± standard deviation of each edge)."
    return sentences


def preprocessing(study: MethodsContext) -> str:
    """Describe what became of a scan before the network saw it."""
    options, patches = study.config.preprocess, study.config.patches
    grid = f"resampled to {options.spacing_mm:g} mm isotropic voxels by linear interpolation"
    shape = " × ".join(str(edge) for edge in patches.shape(options))
    overlap = f"{100 * patches.overlap_fraction:g} %"
    if options.region == "cord":
        found = _centerline(options, study.cite)
        region = (
            f"Images were reoriented to left-anterior-superior, {grid} and cropped to {options.crop_voxels} × "
            f"{options.crop_voxels} voxels around the "
            f"centerline of the cord in each axial slice. The centerline was {found}"
        )
        region += f", smoothed over {options.centerline_smoothing_mm:g} mm." if options.centerline_smoothing_mm else "."
    else:
        otsu = study.cite("otsu1979")
        region = (
            f"Images were reoriented to left-anterior-superior and {grid} within the largest connected part that is "
            f"brighter than the background {otsu}."
        )
    return (
        f"{region} Intensities were standardised by landmarks {study.cite('nyul2000')} that were fitted on the "
        f"training set only, and each patch of {shape} voxels (overlap {overlap}) was scaled to zero mean and unit "
        "standard deviation."
    )


def _centerline(options: PreprocessConfig, cite: Cite) -> str:
    if isinstance(options.centerline, Path):
        return f"found by the centerline network of the Spinal Cord Toolbox {cite('gros2019')}"
    source = _CENTERLINE_SOURCES.get(options.centerline)
    return _CENTERLINES[options.centerline].format(cite=cite(source) if source else "")


def _where(config: StudyConfig) -> str:
    return " of the spinal cord" if config.preprocess.region == "cord" else ""


def _split(split: SplitConfig, splits: pd.DataFrame) -> str:
    shares = " : ".join(f"{split.proportions[name]:g}" for name in SETS)
    names = enumerate_words([SET_NAMES[name] for name in SETS])
    drawn = (
        f"Subjects were split into {names} sets ({shares}, by scans with lesions), balanced for number and volume of "
        "lesions, with all scans of a subject in one set."
    )
    if split.folds > 1:
        drawn = (
            f"In a cross-validation with {split.folds} folds every subject was in the test set of one fold; the others "
            f"were split into training, validation and threshold sets ({shares}, the last being test, by scans with "
            "lesions), with all scans of a subject in one set of a fold."
        )
    return f"{drawn} {_lesion_free(split, splits)}"


def _lesion_free(split: SplitConfig, splits: pd.DataFrame) -> str:
    if split.lesion_free == "stratified":
        return "Subjects without lesions were shared out in the same proportions."
    if (lesion_free(splits)["set"] != "test").any():  # a split of an earlier version, or made by hand
        return "Subjects without lesions went to the test set."
    return "Scans without lesions went to the test set, with all scans of their subjects."


def _sizes(splits: pd.DataFrame, split: SplitConfig) -> str:
    if split.folds > 1:
        return ""
    counted = [
        f"{len(scans)} scans of {scans['subject'].nunique()} subjects in the {SET_NAMES[name]} set"
        for name in SETS
        for scans in [splits[splits["set"] == name]]
    ]
    return f"There were {enumerate_words(counted)}."
