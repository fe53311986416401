"""Which loss and which decision threshold segment MS lesions of the spinal cord best, and how sure is that.

The public API; names that need torch are imported on first use, so evaluation and threshold choice work without it.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from cordlesion import losses as losses
    from cordlesion.config import StudyConfig as StudyConfig
    from cordlesion.config import read_study as read_study
    from cordlesion.errors import CordlesionError as CordlesionError
    from cordlesion.metrics import LesionRule as LesionRule
    from cordlesion.metrics import ScanMetrics as ScanMetrics
    from cordlesion.metrics import evaluate as evaluate
    from cordlesion.metrics import sweep as sweep
    from cordlesion.model.bundle import load_bundle as load_bundle
    from cordlesion.scan.outputs import Segmentation as Segmentation
    from cordlesion.scan.segment import segment as segment
    from cordlesion.simulate import simulate_cohort as simulate_cohort
    from cordlesion.study.run import run_study as run_study
    from cordlesion.threshold import ThresholdChoice as ThresholdChoice
    from cordlesion.threshold import choose_threshold as choose_threshold

_HOMES = {
    "CordlesionError": "errors",
    "LesionRule": "metrics",
    "ScanMetrics": "metrics",
    "Segmentation": "scan.outputs",
    "StudyConfig": "config",
    "ThresholdChoice": "threshold",
    "choose_threshold": "threshold",
    "evaluate": "metrics",
    "load_bundle": "model.bundle",
    "read_study": "config",
    "run_study": "study.run",
    "segment": "scan.segment",
    "simulate_cohort": "simulate",
    "sweep": "metrics",
}

__all__ = ["__version__", "losses", *_HOMES]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any public object
    if name == "losses":
        return importlib.import_module("cordlesion.losses")
    if name in _HOMES:
        return getattr(importlib.import_module(f"cordlesion.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'cordlesion' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
