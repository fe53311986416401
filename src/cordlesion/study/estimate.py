"""What a study will cost on this machine: printed by `study init` and, before it trains, by `study run`."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from cordlesion.config import SETS, FilePatterns, ReducedConfig, StudyConfig
from cordlesion.dataset.recognition.sentences import command
from cordlesion.dataset.scan import Scan, read_reference
from cordlesion.errors import CordlesionError
from cordlesion.execution.devices import find_gpus
from cordlesion.io.formats import plural
from cordlesion.io.volume import Volume, read_grid
from cordlesion.preprocess.stack_file import read_stack_shape
from cordlesion.study.cost import Cost, Patches, duration, expected_patches, patches_of_shape, share_patches
from cordlesion.study.initial import Cut, InitialStudy
from cordlesion.study.sets import Study
from cordlesion.study.train import Training

if TYPE_CHECKING:
    from cordlesion.training.step_time import StepTime

_FEWEST_SCANS = 12
_SAMPLE = 12
"""References that are read to estimate how many scans have lesions."""
_SECONDS_PER_SCAN, _SECONDS_PER_STUDY = 4.0, 40.0
"""Reading, finding the cord, cutting and scoring a scan; tables and report."""
_RESERVE = 0.7
"""Share of the wanted minutes that is planned for."""
_LONG_S = 600
"""From so many seconds on, it is said how to try a study first."""


def estimate_initial(study: InitialStudy, minutes: int | None = None) -> tuple[InitialStudy, list[str]]:
    """Estimate the cost of a study that does not exist yet, from the headers of its scans and one timed step.

    Args:
        study: The study.
        minutes: Cut the study so that it ends after about so many minutes here.

    Returns:
        The study, cut if ``minutes`` are given, and sentences on its cost.
    """
    grids, faults = _grids(study.scans)
    if not grids:
        return study, [f"No estimate of the hours: no scan can be read. {faults[0]}"]
    share, doubts = _with_lesions(study.scans)

    def measured(config: StudyConfig) -> "tuple[Cost, StepTime]":
        mean = sum(expected_patches(grid, config) for grid in grids) / len(grids)
        return _cost(config, share_patches(mean * len(study.scans), share, config)), measured_steps(config)

    whole, times = measured(study.config)
    if minutes is None:
        said = [*doubts, *_sentences(whole, times, len(study.scans))]
        is_short = whole.seconds(times) < _LONG_S
        return study, said if is_short else [*said, _wish(study)]
    plan = fit_into(study, whole, times, minutes)
    if not plan.fits:
        # A smaller network on fewer patches: what can be cut is cut.
        light = replace(study, cut=replace(plan.cut, losses=_titles(study.config), is_light=True))
        plan = fit_into(light, *measured(light.config), minutes)
    return replace(study, cut=plan.cut), [*doubts, str(plan)]


def _grids(scans: Sequence[Scan]) -> tuple[list[Volume], list[str]]:
    """Read the headers of the scans; the second list is why others cannot be read."""
    grids, faults = [], []
    for scan in scans:
        try:
            grids.append(read_grid(scan.image))
        except CordlesionError as error:
            faults.append(str(error))
    return grids, faults


def _wish(study: InitialStudy) -> str:
    return f"To try everything in ten minutes: {_try_command(study.found.folder, study.found.patterns)}"


def _try_command(folder: Path, patterns: FilePatterns) -> str:
    return f"{command(folder, patterns)} --minutes 10 > tryout.yaml; cordlesion study run tryout.yaml"


def _titles(config: StudyConfig) -> tuple[str, ...]:
    return tuple(loss.title for loss in config.losses)


def estimate_run(study: Study, pending: Sequence[Training], here: bool) -> Iterator[str]:
    """Yield sentences on what the trainings that are left will cost.

    Args:
        study: The study, its stacks cut.
        pending: The trainings that are left.
        here: Whether they run on this machine, so that a step is timed.
    """
    known = {name: patches_of_shape(read_stack_shape(study.folder.stack(name)), study.config) for name in study.hashes}
    costs = [_cost_of(study, training, known) for training in pending]
    steps, epochs = sum(cost.steps for cost in costs), costs[0].epochs
    each = f"{plural(epochs, 'epoch')} of {plural(costs[0].steps_per_epoch, 'step')}"
    batch = f"{costs[0].batch_size} patches each"
    yield f"to train: {plural(len(pending), 'network')} in {each} with {batch}: {steps:,} steps"
    if here:
        try:
            times = measured_steps(study.config)
        except Exception as error:  # the user's code can raise anything, here for a batch of one patch
            yield f"the time of a step is unknown: it could not be measured ({type(error).__name__}: {error})"
            return
        training_s, maps_s = (sum(of(cost, times) for cost in costs) for of in (Cost.training_s, Cost.maps_s))
        yield f"here: {_time_sentence(times, training_s, maps_s)}. What is done is kept if you stop it (Ctrl+C)"
        if training_s + maps_s > _LONG_S and not study.config.reduced:
            yield f"to try everything first: {_try_command(study.config.dataset, study.config.patterns)}"


def measured_steps(config: StudyConfig) -> "StepTime":
    """Time one training step of a study on this machine; on a GPU in a process of its own, to free it."""
    from cordlesion.training.step_time import measure_steps

    if not find_gpus():
        return measure_steps(config)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measure_steps, config).result()


def _cost(config: StudyConfig, patches: Patches) -> Cost:
    training, losses = config.training, _titles(config) * len(config.seeds)
    return Cost(patches, training.batch_size, training.epochs, losses, config.prediction.mirror)


def _cost_of(study: Study, training: Training, known: Mapping[str, int]) -> Cost:
    run, fold = training.run, study.folds[training.run.fold]
    learning = {name: [known[scan.scan_id] for scan in scans] for name, scans in fold.learning.items()}
    train, validation = sum(learning["train"]), sum(learning["validation"])
    patches = Patches(train, validation, sum(known.values()) - train - validation)
    mirror = run.prediction.mirror
    return Cost(patches, run.training.batch_size, run.training.epochs, (run.loss.title,), mirror)


def _with_lesions(scans: Sequence[Scan]) -> tuple[float, list[str]]:
    """Return the share of scans with lesions, from some references, and why a reference is no mask, if one is not."""
    chosen = scans[:: max(1, len(scans) // _SAMPLE)][:_SAMPLE]
    found, faults = [], []
    for scan in chosen:
        try:
            found.append(bool(read_reference(scan, read_grid(scan.image)).data.any()))
        except CordlesionError as error:
            faults.append(str(error))
    doubts = [f"A reference cannot be used, of {len(chosen)} that were read: {fault}" for fault in faults[:1]]
    return (sum(found) / len(found) if any(found) else 1.0), doubts


def _sentences(cost: Cost, times: "StepTime", n_scans: int) -> list[str]:
    patches = f"up to {cost.patches.train:,.0f} patches to learn from"
    each = f"{cost.steps_per_epoch:,} steps of {cost.batch_size} patches an epoch"
    every = f"{plural(len(cost.losses), 'training')} of {plural(cost.epochs, 'epoch')}: {cost.steps:,} steps"
    return [
        f"{plural(n_scans, 'scan')}, {patches}, {each}; {every}.",
        f"On this machine: {_time_sentence(times, cost.training_s(times), cost.maps_s(times))}.",
    ]


def _time_sentence(times: "StepTime", training_s: float, maps_s: float) -> str:
    low, high = (f"{of(times.step_s.values()):.2g}" for of in (min, max))
    how = "extrapolated from one patch" if times.from_one_patch else "measured"
    return (
        f"about {duration(training_s)} for the trainings, one after the other, and {duration(maps_s)} for the maps; a "
        f"step takes {low if low == high else f'{low} to {high}'} s ({times.device}; {how})"
    )


@dataclass(frozen=True)
class Plan:
    """A study that is cut to end soon."""

    cut: Cut
    seconds: float
    """How long it takes on this machine."""
    fits: bool
    """Whether this is within the wanted minutes."""

    def __str__(self) -> str:
        """State what is left, and how long it takes."""
        reduced, losses = self.cut.reduced, ", ".join(self.cut.losses)
        scans = f"at most {reduced.scans} scans" if reduced.scans else "all scans"
        epochs = plural(reduced.epochs or 0, "epoch")
        light = ", a smaller network on fewer patches" if self.cut.is_light else ""
        more = "" if self.fits else " There is nothing left to cut."
        kept = f"{scans}, {epochs}, {plural(len(self.cut.losses), 'loss', 'losses')} ({losses}){light}"
        return f"To try it out: {kept}: about {duration(self.seconds)} on this machine.{more}"


def fit_into(study: InitialStudy, whole: Cost, times: "StepTime", minutes: float) -> Plan:
    """Cut scans, then losses, until one epoch fits into the minutes; then add epochs.

    Args:
        study: The study.
        whole: Its cost as it is.
        times: Of its steps.
        minutes: How long it may take.
    """
    for n, losses in _smaller(study):
        one = replace(whole, patches=whole.patches.of(n / len(study.scans)), losses=losses, epochs=1)
        fixed_s = _SECONDS_PER_STUDY + _SECONDS_PER_SCAN * n
        left_s = _RESERVE * 60 * minutes - fixed_s
        if one.seconds(times) <= left_s:
            break
    epochs = max(1, min(whole.epochs, int((left_s - one.maps_s(times)) / one.training_s(times))))
    reduced = ReducedConfig(scans=n if n < len(study.scans) else None, epochs=epochs)
    seconds = replace(one, epochs=epochs).seconds(times) + fixed_s
    return Plan(Cut(losses, reduced, study.cut is not None), seconds, one.seconds(times) <= left_s)


def _smaller(study: InitialStudy) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield numbers of scans and losses, fewer and fewer."""
    subjects = Counter(scan.subject for scan in study.scans)
    # Every set needs a subject with lesions, and one without.
    fewest = max(_FEWEST_SCANS, sum(n for _, n in subjects.most_common(len(SETS) + 1)))
    titles, n = _titles(study.config), len(study.scans)
    while n > fewest:
        yield n, titles
        n = max(fewest, n // 2)
    for k in range(len(titles), 0, -1):
        yield min(fewest, len(study.scans)), titles[:k]
