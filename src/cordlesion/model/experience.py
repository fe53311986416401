"""What a study knows of a model: the scans it was trained on, and its errors on the test set."""

from pydantic import BaseModel, ConfigDict

from cordlesion.io.formats import plural

_MOST_NAMED = 3


class TrainingData(BaseModel):
    """The training set of a model."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    simulated: bool
    """The dataset declares that ``cordlesion simulate`` made it."""
    n_scans: int
    n_subjects: int
    scanners: tuple[str, ...] = ()
    """Those that are known."""
    started_from: str = ""
    """Name of the model whose weights were the first; empty for random ones."""
    started_from_simulated: bool = False
    """That model is known to have learned from simulated scans alone."""

    @property
    def without_patients(self) -> bool:
        """Whether the model, and the one it started from, learned from simulated scans alone."""
        return self.simulated and (self.started_from_simulated or not self.started_from)


class TestError(BaseModel):
    """What a model found in the test set, and what it marked falsely, at one threshold."""

    __test__ = False  # no test, whatever its name looks like
    model_config = ConfigDict(frozen=True, extra="forbid")
    threshold: float
    rule: str
    """The lesion rule by which lesions count as found."""
    n_scans: int
    n_subjects: int
    n_lesions: int
    n_found: int
    false_lesions_per_scan: float
    n_lesion_free: int
    """Scans without lesions."""
    n_lesion_free_marked: int
    """Those of them in which something was marked."""


def describe_training(data: TrainingData | None) -> str:
    """Return what a model was trained on, in words; also where that is not known."""
    if data is None:
        return "not recorded"
    many = f"{len(data.scanners)} kinds of scanners"
    scanners = f" ({', '.join(data.scanners) if len(data.scanners) <= _MOST_NAMED else many})" if data.scanners else ""
    only = ": it has seen no patient" if data.without_patients else ""
    subjects = f" of {plural(data.n_subjects, 'subject')}{scanners}"
    return f"{describe_scans(data, subjects)}{only}"


def describe_scans(data: TrainingData | None, whose: str = "") -> str:
    """Return the scans that a model was trained on and the model that it started from, for use in a sentence.

    Args:
        data: What is known.
        whose: Follows the number of scans.
    """
    if data is None:
        return "scans that are not recorded"
    kind = "simulated scan" if data.simulated else "scan"
    start = f", from the weights of {data.started_from}" if data.started_from else ""
    return f"{plural(data.n_scans, kind)}{whose}{start}"


def describe_error(error: TestError | None, threshold: float) -> str:
    """Return what a model finds and marks falsely, in words, as its study measured it.

    Args:
        error: As measured; None where it was not.
        threshold: The one in use.
    """
    if error is None:
        return "not recorded: what this model misses and marks falsely is unknown"
    parts = [
        f"{error.n_found} of {error.n_lesions} lesions found",
        f"{error.false_lesions_per_scan:.1f} false lesions per scan",
    ]
    if error.n_lesion_free:
        parts.append(f"{error.n_lesion_free_marked} of {error.n_lesion_free} scans without lesions marked")
    other = "" if error.threshold == threshold else f" (measured at p ≥ {error.threshold:g}, not at that of this mask)"
    return f"on {error.n_scans} test scans of {plural(error.n_subjects, 'subject')}: {', '.join(parts)}{other}"
