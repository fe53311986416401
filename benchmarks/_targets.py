"""The stages that are measured, in the order of the page: what each has to reach, and why where it does not."""

from dataclasses import dataclass
from typing import Literal

Against = Literal["peer", "floor", "limit"]
"""What ours is divided by, or divides: the fastest peer, the floor, or a limit in the row's own unit."""


@dataclass(frozen=True)
class Stage:
    """One row of the page."""

    name: str
    against: Against
    bound: float
    """At least this many times less than the fastest peer, at most this many times the floor, or at most this much."""
    target: str
    """The bound in words."""
    if_missed: str
    """A sentence for the page, which shows it only where the target is missed."""
    unit: Literal["s", "ms", "MiB"] = "s"


STACK = Stage(
    "scan to cord stack",
    "peer",
    20,
    "≥ 20 × faster than the fastest whole-volume resampling",
    "The fastest peer computes in all threads and ours in one, so that the ratio falls with the number of processors.",
)
STACK_MEMORY = Stage(
    "scan to cord stack, peak memory",
    "peer",
    5,
    "≤ 1/5 of the leanest whole-volume resampling",
    "The volume is so small that fixed costs weigh more than the samples.",
    "MiB",
)
TRAINING_STEP = Stage(
    "training step, batch 8 × 48³",
    "peer",
    3.5,
    "≥ 3.5 × faster than float32 in the default layout (bfloat16 processors)",
    "The gain is that of the processor's bfloat16 units and of its memory, which other programs may have used too.",
)
TRAINING_STEP_FLOAT32 = Stage(
    TRAINING_STEP.name,
    "peer",
    1.5,
    "≥ 1.5 × faster than float32 in the default layout (processors without bfloat16)",
    "Without bfloat16 only the memory layout is left to gain from.",
)
TRAINING_LOOP = Stage(
    "training loop, data and augmentation included",
    "floor",
    1 / 0.95,
    "≥ 95 % of the bare step's throughput",
    "Patches are cut, standardised and augmented between the steps, by the same processors.",
)
PROBABILITY_MAP = Stage(
    "probability map, 48 × 48 × 600",
    "peer",
    4,
    "≥ 4 × faster than MONAI's sliding_window_inference by its defaults",
    "The gain is that of bfloat16 and of the memory layout, which this processor rewards less.",
)
PROBABILITY_MAP_FLOOR = Stage(
    "probability map, against its network alone",
    "floor",
    1.3,
    "≤ 1.3 × the bare network's time for the same patches",
    "Standardising and stitching take one thread, the network all of them.",
)
SWEEP = Stage(
    "21 thresholds, all metrics",
    "peer",
    10,
    "≥ 10 × faster than panoptica",
    "Of a map that reaches many voxels, levels are labelled anew as the peers do it.",
)
SWEEP_ANIMA = Stage(
    "21 thresholds, against Anima",
    "peer",
    20,
    "≥ 20 × faster than Anima",
    "Anima's figure is a stated one, of a quiet machine: this one was slower.",
)
SIMULATION = Stage(
    "simulate 161 scans",
    "limit",
    180,
    "≤ 3 minutes",
    "The time falls with the number of processors, and these were slow or busy.",
)
SEGMENT = Stage(
    "`segment` one scan, cold process",
    "floor",
    2.5,
    "≤ 2.5 × importing torch and the network's time",
    "The scan's pictures take a quarter of it, importing scipy, pandas and nibabel most of the rest.",
)
EVALUATION = Stage(
    "evaluate 1 000 scans from disk",
    "floor",
    2,
    "limited by reading: ≤ 2 × the time of merely reading the files",
    "Beside reading, each scan is cropped, labelled and judged by some hundred calls of numpy, one thread at a time.",
)
EVALUATION_MEMORY = Stage(
    "evaluate 1 000 scans, peak memory",
    "floor",
    1.5,
    "no growth but the table's: ≤ 1.5 × that of 100 scans",
    "The table of all metrics is kept, a few kilobytes per scan, and made into text as a whole.",
    "MiB",
)
SLIDER = Stage(
    "explorer's slider step",
    "limit",
    50,
    "≤ 50 ms from frame to frame while it moves",
    "The browser draws by the processor here, without a graphics card.",
    "ms",
)

STAGES = (
    *(STACK, STACK_MEMORY, TRAINING_STEP, TRAINING_LOOP, PROBABILITY_MAP, PROBABILITY_MAP_FLOOR, SWEEP, SWEEP_ANIMA),
    *(SIMULATION, SEGMENT, EVALUATION, EVALUATION_MEMORY, SLIDER),
)
