"""Which loss and which decision threshold segment MS lesions of the spinal cord best, and how sure is that.

This is the public API. Names are imported on first use, and torch only where it is needed: maps and masks of any tool,
thresholds, volumes and pictures work without it.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Before torch is imported, which reads it then. The threads of a layer wait for each other, and OpenMP of GCC, which
# PyTorch comes with for Linux, lets them turn 300,000 times before they sleep. Beside other programs, the thread that
# they wait for may be interrupted, and the waiting takes more of a processor than the work (docs/benchmarks.md).
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

if TYPE_CHECKING:
    from cordlesion import config as config
    from cordlesion import losses as losses
    from cordlesion.centerlines import CordInput as CordInput
    from cordlesion.config import StudyConfig as StudyConfig
    from cordlesion.config import read_study as read_study
    from cordlesion.dataset.bids import find_scans as find_scans
    from cordlesion.errors import CordlesionError as CordlesionError
    from cordlesion.errors import PartialSearchWarning as PartialSearchWarning
    from cordlesion.guard.verdict import Verdict as Verdict
    from cordlesion.io.orient import to_las as to_las
    from cordlesion.io.tables import read_table as read_table
    from cordlesion.io.volume import Volume as Volume
    from cordlesion.io.volume import read_mask as read_mask
    from cordlesion.io.volume import read_probability as read_probability
    from cordlesion.io.volume import read_scan as read_scan
    from cordlesion.io.volume import write_volume as write_volume
    from cordlesion.lesions.coverage import Coverage as Coverage
    from cordlesion.losses import LOSSES as LOSSES
    from cordlesion.losses.make import make_loss as make_loss
    from cordlesion.losses.precision import in_float32 as in_float32
    from cordlesion.maps.compare import Comparison as Comparison
    from cordlesion.maps.compare import compare_files as compare_files
    from cordlesion.maps.cut import CutMasks as CutMasks
    from cordlesion.maps.cut import cut_files as cut_files
    from cordlesion.maps.evaluate import MetricsTable as MetricsTable
    from cordlesion.maps.evaluate import evaluate_files as evaluate_files
    from cordlesion.maps.repeatability import RepeatabilityTable as RepeatabilityTable
    from cordlesion.maps.repeatability import repeatability_files as repeatability_files
    from cordlesion.maps.tune import tune_files as tune_files
    from cordlesion.metrics import FURTHER_METRICS as FURTHER_METRICS
    from cordlesion.metrics import RULES
    from cordlesion.metrics import LesionRule as LesionRule
    from cordlesion.metrics import ScanMetrics as ScanMetrics
    from cordlesion.metrics import binarize as binarize
    from cordlesion.metrics import evaluate as evaluate
    from cordlesion.metrics import evaluate_rules as evaluate_rules
    from cordlesion.metrics import lesions_of_labels as lesions_of_labels
    from cordlesion.metrics import sweep as sweep
    from cordlesion.model.bundle import load_bundle as load_bundle
    from cordlesion.model.bundle_updates import set_threshold as set_threshold
    from cordlesion.nnunet.softmax import read_softmax as read_softmax
    from cordlesion.pictures.plots import plot_scan as plot_scan
    from cordlesion.pictures.plots import plot_scores as plot_scores
    from cordlesion.pictures.plots import plot_threshold_curve as plot_threshold_curve
    from cordlesion.report.study_figures import plot_study as plot_study
    from cordlesion.scan.outputs import Segmentation as Segmentation
    from cordlesion.scan.segment import segment as segment
    from cordlesion.simulate import simulate_cohort as simulate_cohort
    from cordlesion.statistics import median_interval as median_interval
    from cordlesion.statistics import wilcoxon as wilcoxon
    from cordlesion.study.run import run_study as run_study
    from cordlesion.study.setup import initial_study as initial_study
    from cordlesion.study_folder.results import StudyResults as StudyResults
    from cordlesion.study_folder.results import read_results as read_results
    from cordlesion.threshold import FINE_THRESHOLDS as FINE_THRESHOLDS
    from cordlesion.threshold import GRIDS
    from cordlesion.threshold import OBJECTIVES as OBJECTIVES
    from cordlesion.threshold import THRESHOLDS as THRESHOLDS
    from cordlesion.threshold import LesionCalibration as LesionCalibration
    from cordlesion.threshold import ThresholdChoice as ThresholdChoice
    from cordlesion.threshold import ThresholdRule as ThresholdRule
    from cordlesion.threshold import choose_threshold as choose_threshold
    from cordlesion.threshold import sweep_maps as sweep_maps
    from cordlesion.threshold.mask_rule import write_rule as write_rule

    LESION_RULES = RULES
    """Lesion rules by name: when a lesion counts as detected."""
    THRESHOLD_GRIDS = GRIDS
    """Which thresholds are tried, by name: ``paper`` (:data:`THRESHOLDS`) and ``fine`` (:data:`FINE_THRESHOLDS`)."""

# The same for the program that runs; tests/test_public_api.py compares the two.
_HOMES = {
    # A study
    "StudyConfig": "config",
    "config": "config:",
    "read_study": "config",
    "find_scans": "dataset.bids",
    "initial_study": "study.setup",
    "run_study": "study.run",
    "read_results": "study_folder.results",
    "StudyResults": "study_folder.results",
    "read_table": "io.tables",
    # One scan
    "segment": "scan.segment",
    "Segmentation": "scan.outputs",
    "CordInput": "centerlines",
    "Coverage": "lesions.coverage",
    "Verdict": "guard.verdict",
    "load_bundle": "model.bundle",
    "set_threshold": "model.bundle_updates",
    # Masks and maps of any tool
    "evaluate": "metrics",
    "evaluate_rules": "metrics",
    "lesions_of_labels": "metrics",
    "ScanMetrics": "metrics",
    "LesionRule": "metrics",
    "LESION_RULES": "metrics:RULES",
    "FURTHER_METRICS": "metrics",
    "evaluate_files": "maps.evaluate",
    "MetricsTable": "maps.evaluate",
    "sweep": "metrics",
    "sweep_maps": "threshold",
    "choose_threshold": "threshold",
    "ThresholdChoice": "threshold",
    "ThresholdRule": "threshold",
    "write_rule": "threshold.mask_rule",
    "LesionCalibration": "threshold",
    "THRESHOLDS": "threshold",
    "FINE_THRESHOLDS": "threshold",
    "THRESHOLD_GRIDS": "threshold:GRIDS",
    "OBJECTIVES": "threshold",
    "tune_files": "maps.tune",
    "binarize": "metrics",
    "cut_files": "maps.cut",
    "CutMasks": "maps.cut",
    "compare_files": "maps.compare",
    "Comparison": "maps.compare",
    "repeatability_files": "maps.repeatability",
    "RepeatabilityTable": "maps.repeatability",
    "wilcoxon": "statistics",
    "median_interval": "statistics",
    "read_softmax": "nnunet.softmax",
    # Losses
    "losses": "losses:",
    "LOSSES": "losses",
    "make_loss": "losses.make",
    "in_float32": "losses.precision",
    # Simulated scans
    "simulate_cohort": "simulate",
    # Volumes
    "Volume": "io.volume",
    "read_scan": "io.volume",
    "read_mask": "io.volume",
    "read_probability": "io.volume",
    "write_volume": "io.volume",
    "to_las": "io.orient",
    # Pictures
    "plot_threshold_curve": "pictures.plots",
    "plot_scores": "pictures.plots",
    "plot_scan": "pictures.plots",
    "plot_study": "report.study_figures",
    # Errors
    "CordlesionError": "errors",
    "PartialSearchWarning": "errors",
}
"""Where each public name is defined: a module; with ``:name`` under another name, with ``:`` the module itself."""

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any public object
    if name not in _HOMES:
        raise AttributeError(f"module 'cordlesion' has no attribute {name!r}")
    home, colon, other = _HOMES[name].partition(":")
    module = importlib.import_module(f"cordlesion.{home}")
    return module if colon and not other else getattr(module, other or name)


def __dir__() -> list[str]:
    return sorted(__all__)
