"""The measured stages in the order of the page, with their targets and possible reasons for missing them."""

from dataclasses import dataclass
from typing import Literal

Against = Literal["peer", "floor", "limit"]
"""What ours is compared with: the fastest peer, the floor, or a limit in the unit of the row."""


@dataclass(frozen=True)
class Stage:
    """One row of the page."""

    name: str
    against: Against
    bound: float
    """Smallest ratio of the fastest peer to ours, largest ratio of ours to the floor, or largest value of ours."""
    target: str
    """The target in words."""
    if_missed: str
    """A sentence for the page, which is shown only if the target is missed."""
    unit: Literal["s", "ms", "MiB"] = "s"


STACK = Stage(
    "scan to cord stack",
    "peer",
    20,
    "≥ 20 × faster than the fastest whole-volume resampling",
    "The fastest peer uses all threads and ours one, so the ratio decreases with the number of processors.",
)
STACK_MEMORY = Stage(
    "scan to cord stack, peak memory",
    "peer",
    5,
    "≤ 1/5 of the leanest whole-volume resampling",
    "The volume is so small that fixed costs dominate.",
    "MiB",
)
TRAINING_STEP = Stage(
    "training step, batch 8 × 48³",
    "peer",
    3.5,
    "≥ 3.5 × faster than float32 in the default layout (bfloat16 processors)",
    "The gain depends on the bfloat16 units and the memory of the processor, which other programs may have used.",
)
TRAINING_STEP_FLOAT32 = Stage(
    TRAINING_STEP.name,
    "peer",
    1.5,
    "≥ 1.5 × faster than float32 in the default layout (processors without bfloat16)",
    "Without bfloat16 only the memory layout gives a gain.",
)
TRAINING_LOOP = Stage(
    "training loop, data and augmentation included",
    "floor",
    1 / 0.95,
    "≥ 95 % of the bare step's throughput",
    "Patches are cut, standardised and augmented between the steps, by the same processors.",
)
TRAINING_BESIDE = Stage(
    "training step beside 4 busy programs",
    "peer",
    1.2,
    "≥ 1.2 × faster than with PyTorch's default",
    "With more processors than programs there is little to gain; with fewer, threads may wait for each other either "
    "way: see one thread.",
)
TRAINING_ALONE = Stage(
    "training step alone, threads that soon sleep",
    "floor",
    1.02,
    "≤ 2 % slower than with PyTorch's default",
    "To wake a thread takes longer on some processors and in virtual machines.",
)
PROBABILITY_MAP = Stage(
    "probability map, 48 × 48 × 600",
    "peer",
    4,
    "≥ 4 × faster than MONAI's sliding_window_inference by its defaults",
    "The gain comes from bfloat16 and the memory layout; it is smaller on this processor.",
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
    "If a map reaches many voxels, each level is labelled separately, as in the peers.",
)
SWEEP_ANIMA = Stage(
    "21 thresholds, against Anima",
    "peer",
    20,
    "≥ 20 × faster than Anima",
    "The figure of Anima is stated, from an idle machine; this machine was slower.",
)
SIMULATION = Stage(
    "simulate 161 scans",
    "limit",
    180,
    "≤ 3 minutes",
    "The time decreases with the number of processors; these were slow or busy.",
)
SEGMENT = Stage(
    "`segment` one scan, cold process",
    "floor",
    2.5,
    "≤ 2.5 × importing torch and the network's time",
    "The pictures of the scan take a quarter of it; importing scipy, pandas and nibabel takes most of the rest.",
)
EVALUATION = Stage(
    "evaluate 1 000 scans from disk",
    "floor",
    2,
    "limited by reading: ≤ 2 × the time of only reading the files",
    "Labelling and scoring are many short calls of Python, which one thread at a time can make.",
)
EVALUATION_MEMORY = Stage(
    "evaluate 1 000 scans, peak memory",
    "floor",
    1.5,
    "no growth except for the table: ≤ 1.5 × that of 100 scans",
    "The table of all metrics, a few kilobytes per scan, is kept in memory and converted to text as a whole.",
    "MiB",
)
SLIDER = Stage(
    "explorer's slider step",
    "limit",
    50,
    "≤ 50 ms from frame to frame while it moves",
    "Here, the browser draws without a graphics card.",
    "ms",
)

STAGES = (
    *(STACK, STACK_MEMORY, TRAINING_STEP, TRAINING_LOOP, TRAINING_BESIDE, TRAINING_ALONE),
    *(PROBABILITY_MAP, PROBABILITY_MAP_FLOOR, SWEEP, SWEEP_ANIMA),
    *(SIMULATION, SEGMENT, EVALUATION, EVALUATION_MEMORY, SLIDER),
)
