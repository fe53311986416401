"""What is promised of a threshold, as rules and models carry it (no torch)."""

import math
from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from cordlesion.io.formats import format_percent

RiskName: TypeAlias = Literal["missed", "false_positives"]
"""What may be limited: the share of a subject's lesions that is missed, its false positives per scan."""
MOST_SUBJECTS = 2000
"""Larger numbers are not named as ones that would be enough."""
TOO_CLOSE = (
    "too close to the limit or tested after thresholds that break it; "
    f"{MOST_SUBJECTS} subjects like these would not be enough"
)
"""Why nothing is shown of a threshold whose mean is below the limit."""


class Promise(BaseModel):
    """A limit of a risk that a threshold keeps with a stated certainty, as JSON.

    The risk is a mean over subjects like those of the threshold set, see :mod:`cordlesion.threshold.promises`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)
    risk: RiskName
    limit: Annotated[float, Field(gt=0)]
    """Share of lesions, or number per scan."""
    certainty: Annotated[float, Field(gt=0, lt=1)]
    """Of all promises of a rule together."""
    unit: Literal["subjects"] = "subjects"
    """What is exchangeable."""
    n: Annotated[int, Field(ge=1)]
    """Subjects of the threshold set on which it rests."""
    lesion_rule: str
    """Decides which lesions are detected."""
    lesion_free: bool
    """Whether lesion-free scans were among them; else the promise is for scans with lesions."""
    counted_up_to: float | None = None
    """Higher losses of a subject count as this; null where none is higher."""

    @property
    def text(self) -> str:
        """The promise in a few words."""
        with_lesions = self.risk == "false_positives" and not self.lesion_free
        return f"{promise_text(self.risk, self.limit)}{' with lesions' if with_lesions else ''}"


def promise_text(risk: RiskName, limit: float) -> str:
    """Return the limit of a risk in a few words."""
    if risk == "missed":
        return f"at most {100 * limit:.3g} % of lesions are missed"
    return f"at most {limit:g} false positive{'' if limit == 1 else 's'} per scan"


def risk_text(risk: RiskName, value: float, low: float = math.nan, high: float = math.nan) -> str:
    """Return the value of a risk in a few words, with its interval where there is one."""
    is_share = risk == "missed"
    text = f"{format_percent(value)} of lesions missed" if is_share else f"{value:.1f} false positives per scan"
    ends = [f"{100 * end:.0f}" if is_share else f"{end:.1f}" for end in (low, high)]
    return text if math.isnan(low) else f"{text} [{ends[0]}, {ends[1]}{' %' if is_share else ''}]"


def join_promises(promises: Sequence[Promise]) -> str:
    """Return promises with their certainty, in a few words; empty where there are none."""
    if not promises:
        return ""
    return f"{' and '.join(one.text for one in promises)}, with {format_percent(promises[0].certainty)} certainty"
