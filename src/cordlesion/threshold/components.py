"""Threshold rules that keep some components of ``p >= t``: those with a high peak, or the highest few (no torch)."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal

import numpy as np
import pandas as pd
from pydantic import AfterValidator, Field

from cordlesion.io.arrays import Float32Array, Int32Array, IntArray, Mask
from cordlesion.metrics import ComponentSweep, LesionRule, binarize, sweep_highest, sweep_peaks
from cordlesion.metrics.lesion import every_component
from cordlesion.metrics.rules import CONNECTIVITY_RANK
from cordlesion.threshold.choice import ThresholdChoice
from cordlesion.threshold.grid import MOST, PEAK, THRESHOLDS, VOLUME
from cordlesion.threshold.rule import Probability, RuleWithThreshold, Spacing, TuningScan, as_table

PEAKS: tuple[float, ...] = THRESHOLDS[1:]
"""Peaks to try: 0.05, 0.1 .. 1."""
VOLUMES_MM3: tuple[float, ...] = (0.0, 3.0, 6.0, 12.0, 24.0)
"""Minimum volumes to try."""
COUNTS: tuple[float, ...] = (1, 2, 3, 4, 5, 7, 10, np.inf)
"""Numbers of components to try."""


def _known_connectivity(value: int) -> int:
    if value not in CONNECTIVITY_RANK:
        raise ValueError(f"{value} is no connectivity; 6, 18 or 26 is needed")
    return value


class _OfComponents(RuleWithThreshold):
    """A mask is the union of some components of ``p >= value``."""

    connectivity: Annotated[int, AfterValidator(_known_connectivity)] = 6
    """Neighbours that join voxels into one component: as in the lesion rule that the objective was measured by."""

    def threshold_in(self, probability: Probability, spacing_mm: Spacing) -> float:  # noqa: ARG002 - of every rule
        """Return the same value for every scan."""
        return self.value

    def _components(self, probability: Probability) -> tuple[Int32Array, IntArray, Float32Array]:
        """Return the labels of the components, and the size and the peak of each, shape (C,)."""
        found = every_component(binarize(probability, self.value), self.connectivity)
        inside = found.labels > 0  # few voxels of a scan
        peaks = np.zeros(len(found.sizes) + 1, dtype=np.float32)
        np.maximum.at(peaks, found.labels[inside], probability[inside])
        return found.labels, found.sizes, peaks[1:]


class PeakThreshold(_OfComponents):
    """A component of ``p >= value`` is lesion when its highest probability reaches ``peak`` and it is large enough.

    Two thresholds, as in hysteresis thresholding (Canny 1986): ``peak`` decides how sure a lesion must be, ``value``
    how far it extends.
    """

    tried: ClassVar[Mapping[str, Sequence[float]]] = MappingProxyType(
        {"threshold": THRESHOLDS, PEAK: PEAKS, VOLUME: VOLUMES_MM3}
    )
    rule: Literal["peak"] = "peak"
    peak: Annotated[float, Field(ge=0, le=1, strict=True)]
    minimum_volume_mm3: Annotated[float, Field(ge=0, strict=True)] = 0.0
    """Components count when *larger* than this."""

    @classmethod
    def measure(cls, scan: TuningScan, lesion_rule: LesionRule) -> pd.DataFrame:
        """Measure every combination of threshold, peak and minimum volume."""
        swept = sweep_peaks(
            scan.reference, scan.probability, scan.spacing_mm, THRESHOLDS, PEAKS, VOLUMES_MM3, lesion_rule
        )
        return _as_table(scan, swept, cls.tried)

    @classmethod
    def chosen(cls, choice: ThresholdChoice, lesion_rule: LesionRule) -> "PeakThreshold":
        """Return the rule of a choice."""
        return cls(
            **cls.facts(choice),
            peak=choice.settings[PEAK],
            minimum_volume_mm3=choice.settings[VOLUME],
            connectivity=lesion_rule.connectivity,
        )

    def binarize(self, probability: Probability, spacing_mm: Spacing) -> Mask:
        """Keep components by their peak and volume."""
        labels, sizes, peaks = self._components(probability)
        least = LesionRule(min_volume_mm3=self.minimum_volume_mm3).min_voxels(float(np.prod(spacing_mm)))
        kept = binarize(peaks, self.peak) & (sizes >= least)
        mask: Mask = np.concatenate([[False], kept])[labels]
        return mask

    @property
    def summary(self) -> str:
        """The two thresholds and the volume."""
        large = f", more than {self.minimum_volume_mm3:g} mm³" if self.minimum_volume_mm3 else ""
        sure = f" in lesions that reach {self.peak:g}" if self.peak > self.value else ""
        return f"{self.value:g}{sure}{large}"


class TopComponents(_OfComponents):
    """At most a number of components of ``p >= value`` are lesion, those with the highest peaks."""

    tried: ClassVar[Mapping[str, Sequence[float]]] = MappingProxyType({"threshold": THRESHOLDS, MOST: COUNTS})
    rule: Literal["top_components"] = "top_components"
    most: Annotated[int, Field(ge=1, strict=True)] | None
    """How many; None: all."""

    @classmethod
    def measure(cls, scan: TuningScan, lesion_rule: LesionRule) -> pd.DataFrame:
        """Measure every combination of threshold and number."""
        swept = sweep_highest(scan.reference, scan.probability, scan.spacing_mm, THRESHOLDS, COUNTS, lesion_rule)
        return _as_table(scan, swept, cls.tried)

    @classmethod
    def chosen(cls, choice: ThresholdChoice, lesion_rule: LesionRule) -> "TopComponents":
        """Return the rule of a choice."""
        most = choice.settings[MOST]
        return cls(
            **cls.facts(choice),
            most=int(most) if np.isfinite(most) else None,
            connectivity=lesion_rule.connectivity,
        )

    def binarize(self, probability: Probability, spacing_mm: Spacing) -> Mask:  # noqa: ARG002 - of every rule
        """Keep the components with the highest peaks; of equal peaks the first in scan order."""
        labels, _, peaks = self._components(probability)
        kept = np.zeros(len(peaks) + 1, dtype=np.bool_)
        kept[1 + np.argsort(-peaks, kind="stable")[: self.most]] = True
        mask: Mask = kept[labels]
        return mask

    @property
    def summary(self) -> str:
        """The threshold and the number."""
        return f"{self.value:g}" + (f", the {self.most} with the highest peaks" if self.most else "")


def _as_table(scan: TuningScan, swept: ComponentSweep, axes: Mapping[str, Sequence[float]]) -> pd.DataFrame:
    """Return a row per combination of the values of the axes."""
    distinct = as_table(scan, swept.measured, {})
    combined = np.meshgrid(*axes.values(), indexing="ij")
    columns = {name: values.ravel() for name, values in zip(axes, combined, strict=True)}
    return distinct.iloc[swept.places.ravel()].reset_index(drop=True).assign(**columns)
