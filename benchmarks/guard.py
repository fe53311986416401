"""How often does the guard of `segment` raise an alarm: on scans like the training scans, and on scans of other kinds?

python benchmarks/guard.py BUNDLE [scans] [seed]

BUNDLE is a model of `cordlesion demo` with its profile (DEMO/study/runs/<run>/bundle). Scans of sites that no training
scan comes from are simulated, as T2w scans and, for a third of them, with the signals of other contrasts; T2w scans are
also inverted. Real scans are read from ../shared/data/real or $CORDLESION_SHARED/data/real. The cord is found as in
`segment`. A row counts the verdicts on the scan alone, and with the lesions that the model marks in it.
"""

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
from scipy.stats import binomtest

from cordlesion.cord.centerline import Centerline, centerline_from_cord_mask
from cordlesion.cord.finder import find_cord
from cordlesion.errors import CordlesionError
from cordlesion.guard.verdict import Verdict
from cordlesion.io.volume import Volume, read_scan
from cordlesion.lesions.measure import measure_lesions
from cordlesion.model.bundle import load_own_bundle
from cordlesion.prediction import predict_scan
from cordlesion.scan.guard import compare_result, compare_scan
from cordlesion.simulate.plan import plan_cohort
from cordlesion.simulate.scan import ScanPlan, simulate_scan
from cordlesion.simulate.signals import Signals, draw_signals
from cordlesion.threshold.postprocess import make_mask

COHORT = 40
"""Scans of a simulated cohort; each cohort has sites of its own."""
EVERY = 3
"""One in so many simulated scans is drawn with other contrasts too."""
CONTRASTS: Mapping[str, Callable[[Signals], Signals]] = {
    "FLAIR-like: dark fluid": lambda s: replace(s, csf=0.2),
    "T1w-like": lambda s: replace(
        s, csf=0.45, grey=0.93, body=1.2, nucleus=0.9, dark=0.2, rim=0.35, muscle=0.85, fat=2.4, lesion_gain=1.0
    ),
    "T2*w-like": lambda s: replace(s, csf=1.85, grey=1.2, body=0.25, nucleus=0.6, dark=0.1, muscle=0.6, fat=0.8),
}
"""Signals relative to white matter of the cord. T2*w: fluid as bright as in real scans of three sites."""
STATUS = ("like the training scans", "unusual", "refused", "no cord found")
Found = tuple[str, str, Volume, Centerline | None]
"""Kind and name of a scan, the scan, and its centerline if that is known."""


def simulated(scans: int, seed: int) -> Iterator[Found]:
    """Yield simulated scans of unseen sites, and what becomes of some of them in other contrasts."""
    cohorts = range(seed, seed + -(-scans // COHORT))
    plans = [plan for own in cohorts for subject in plan_cohort(COHORT, own) for plan in subject.scans(own)]
    for k, plan in enumerate(plans[:scans]):
        image, name = simulate(plan), f"{plan.seed}/{k}"
        yield "simulated T2w, unseen sites", name, image, None
        if k % EVERY == 0:
            yield "inverted", name, inverted(image), None
            for kind, change in CONTRASTS.items():
                yield kind, name, simulate(plan, change), None


def simulate(plan: ScanPlan, change: Callable[[Signals], Signals] = lambda signals: signals) -> Volume:
    """Simulate a scan with other signals."""

    def draw(rng: np.random.Generator, csf: float, age: float, lesion_log_sd: float) -> Signals:
        return change(draw_signals(rng, csf, age, lesion_log_sd))

    with patch("cordlesion.simulate.scan.draw_signals", draw):
        image = simulate_scan(plan).image
    return replace(image, data=image.data.astype(np.float32))


def inverted(image: Volume) -> Volume:
    """Return a scan in which dark is bright."""
    return replace(image, data=image.data.max() - image.data)


def real() -> Iterator[Found]:
    """Yield the real scans that are at hand: T2w, the same inverted, and T2*w."""
    folder = Path(os.environ.get("CORDLESION_SHARED", "../shared")) / "data" / "real"
    for path in sorted(folder.glob("*.nii.gz")):
        if any(part in path.name for part in ("seg", "centerline", "cord", "abdomen")):
            continue
        image = read_scan(path)
        yield "real T2w", path.name, image, None
        yield "real T2w, inverted", path.name, inverted(image), None
    for path in sorted((folder / "t2star").glob("*T2starw.nii.gz")):
        image, cord = read_scan(path), path.with_name(path.name.replace(".nii.gz", "_label-SC_seg.nii.gz"))
        yield "real T2*w", path.name, image, None
        if cord.is_file():
            yield "real T2*w, cord masks", path.name, image, centerline_from_cord_mask(cord, image)


def main(bundle: str, scans: str = "120", seed: str = "1001") -> None:
    """Print the table, the reasons for real scans, and the time that the guard takes."""
    model = load_own_bundle(bundle)
    assert model.profile is not None, f"{bundle} has no profile"
    rule = model.card.threshold
    alone: dict[str, Counter[str]] = {}
    whole: dict[str, Counter[str]] = {}
    seconds, distances = [], {}
    for kind, name, image, known in (*simulated(int(scans), int(seed)), *real()):
        counts = alone.setdefault(kind, Counter()), whole.setdefault(kind, Counter())
        try:
            curve = known or find_cord(image)
        except CordlesionError:
            for count in counts:
                count["no cord found"] += 1
            continue
        cut = model.cut(image, curve)
        start = time.perf_counter()
        verdict = compare_scan(model, image, cut, force=True)
        seconds.append(time.perf_counter() - start)
        probability = predict_scan(model, image, curve, cut)
        mask, _ = make_mask(replace(image, data=probability), rule, model.card.postprocess, None)
        after = compare_result(verdict, model, measure_lesions(image, mask, probability, curve))
        distances.setdefault(kind, []).append(verdict.distance)
        for count, status in zip(counts, (verdict.status, after.status), strict=True):
            count[status] += 1
        if kind.startswith("real") and "inverted" not in kind:
            print(f"{kind}, {name}: {describe(after)}", flush=True)
    print_table(alone, whole, distances)
    print(f"the guard takes {1000 * np.median(seconds):.0f} ms (at most {1000 * max(seconds):.0f} ms) per scan")


def describe(verdict: Verdict) -> str:
    """Return a verdict with its numbers."""
    return f"p {verdict.p_value:.3f}, distance {verdict.distance:.2f}, {verdict.sentence}"


def print_table(
    alone: Mapping[str, Counter[str]], whole: Mapping[str, Counter[str]], distances: Mapping[str, list[float]]
) -> None:
    """Print a row for each kind of scan."""
    print(f"\n{'scans':30s} {'n':>4s}  {'like':>4s} {'unusual':>7s} {'refused':>7s} {'no cord':>7s}  alarms"
          f"{'':22s} with lesions   distance, median (range)")  # fmt: skip
    for kind, count in alone.items():
        n, missing = count.total(), count["no cord found"]
        alarms, both = (c["unusual"] + c["refused"] for c in (count, whole[kind]))
        low, high = binomtest(alarms, max(n - missing, 1)).proportion_ci() if n > missing else (np.nan, np.nan)
        numbers = " ".join(f"{count[name]:7d}" for name in STATUS)
        rate = f"{100 * alarms / max(n - missing, 1):.1f} % ({100 * low:.1f} to {100 * high:.1f})"
        far = distances.get(kind, [np.nan])
        spread = f"{np.median(far):.2f} ({min(far):.2f} to {max(far):.2f})"
        print(f"{kind:30s} {n:4d} {numbers}  {rate:28s} {both:5d}          {spread}")


if __name__ == "__main__":
    main(*sys.argv[1:])
