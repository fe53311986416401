"""The top of the page in words: one recommendation, why, how sure it is, and what to expect of it."""

import math
from dataclasses import dataclass

import pandas as pd

from cordlesion.io.formats import format_interval, format_number, format_percent, plural, with_interval
from cordlesion.pictures.style import loss_name
from cordlesion.report.section import Findings
from cordlesion.report.sections.answers.questions import Answer, nothing_learned
from cordlesion.report.sections.recommendation.assurance import change_from_half, sure_of_model, sure_of_threshold
from cordlesion.report.sections.recommendation.found import describe_found, head
from cordlesion.report.sections.recommendation.overlap import Overlap, find_overlap
from cordlesion.report.sections.threshold_rules import advise_rule
from cordlesion.study_folder.results import DEFAULT_THRESHOLD, StudyResults
from cordlesion.study_folder.runs import of_run
from cordlesion.threshold import VOLUME

_OF_THE_PAPER = "median_voxel_f1"


@dataclass(frozen=True)
class Value:
    """A number as it is printed, with its interval."""

    main: str
    interval: str = ""


@dataclass(frozen=True)
class Expectation:
    """What to expect of the recommended model, at its threshold and at 0.5."""

    what: str
    basis: str
    tuned: Value
    default: Value


@dataclass(frozen=True)
class Brief:
    """The words of the recommendation."""

    model: str
    trained_with: str
    """The loss as the headline names it; empty for what was not trained here."""
    head: str
    """How the headline introduces the model."""
    found: tuple[str, ...]
    """What was found, sentence by sentence."""
    threshold: str
    """As printed; of several folds each one's."""
    meaning: str
    """What to do with the threshold."""
    why: str
    reasons: tuple[Answer, ...]
    """How sure of the model and of the threshold, and what it changes against 0.5."""
    n_test: int
    """Test scans."""
    untouched: str
    """In what the test scans took no part."""
    expectations: tuple[Expectation, ...]
    has_default: bool
    """Whether 0.5 is another threshold than the recommended one."""
    has_lesions: bool
    """Whether any lesion of the test scans counts."""
    bundle: str
    """Where the model lies in the study folder; empty for what was not trained here, and of several folds."""
    recommends: bool = True
    """False where no method learned anything: then ``model`` is an example, and the rest is empty."""


def write_brief(findings: Findings) -> Brief:
    """Recommend a model and a threshold, with reasons, assurance and expectations."""
    results, frames = findings.results, findings.frames
    if not results.ranked:
        return _nothing_to_recommend(results, findings.refs["figure6_training"])
    runs, points = frames["runs"], frames["operation"]
    best = results.best
    thresholds = results.chosen(best)
    reasons = {
        "How sure is the model?": sure_of_model(results, frames["pairs"], frames["ranks"]),
        "How sure is the threshold?": sure_of_threshold(results),
        "What changes against 0.5?": change_from_half(results, frames["tuning"], points),
        "Is another threshold rule better?": advise_rule(results, frames["threshold_rules"]),
    }
    has_bundle = (best.seed is not None or best.loss in results.ensembles) and None in thresholds
    return Brief(
        model=results.label(best),
        trained_with=_trained_with(results),
        head=head(findings),
        found=describe_found(findings),
        threshold=results.threshold_text(best),
        meaning=_meaning(results),
        why=_why(results, frames["choice"]),
        n_test=int(of_run(points, best)["n_scans"].iloc[0]),
        untouched="training or choosing" if best.loss == results.leader.loss else "training or tuning",
        reasons=tuple(Answer(question, text) for question, text in reasons.items() if text),
        expectations=_expectations(results, runs, points),
        has_default=set(thresholds.values()) != {DEFAULT_THRESHOLD},
        has_lesions=bool(of_run(points, best)["n_lesions"].any()),
        bundle=f"runs/{best.name}/bundle" if has_bundle else "",
    )


def _nothing_to_recommend(results: StudyResults, curves: str) -> Brief:
    beaten = f"no threshold has a higher {results.objective} than marking every voxel as lesion does (t = 0)."
    if results.goal.is_conditional:
        beaten = f"at no threshold is the {results.objective} above 0, or above that of marking every voxel (t = 0)."
    why = f"{nothing_learned(results)}: {beaten}"
    return Brief(
        model=results.label(results.best),
        trained_with="",
        head="",
        found=(f"{why} Train longer, or on more scans; the curves of training are in {curves}.",),
        threshold=results.threshold_text(results.best),
        meaning="",
        why="",
        n_test=results.rows("evaluation", results.best, ["scan_id"], set="test")["scan_id"].nunique(),
        untouched="",
        reasons=(),
        expectations=(),
        has_default=False,
        has_lesions=False,
        bundle="",
        recommends=False,
    )


def _why(results: StudyResults, choice: pd.DataFrame) -> str:
    """State the score by which the model was chosen, what is left of it once corrected, and on the test set."""
    row = choice[choice["recommended"]].iloc[0]
    objective = results.objective.replace("voxel F1", "overlap (voxel F1)")
    paper = ", as in Hussein et al." if results.thresholds["objective"].iloc[0] == _OF_THE_PAPER else ""
    sentences = [f"{_chosen_among(results)} by the {objective}{paper}, on the {_kept(results)}: {_score(row)}."]
    corrected, tested = (
        with_interval(row[value], row[low], row[high])
        for value, low, high in (("corrected", "low", "high"), ("tested", "tested_low", "tested_high"))
    )
    if row["corrected"] < row["score"]:
        sentences.append(f"Being chosen makes that too high; corrected: {corrected}.")
    if not math.isnan(row["tested"]):
        sentences.append(f"On the test set: {tested}.")
    if results.best.loss != results.leader.loss:
        sentences.append(_replaced(results))
    return " ".join(sentences)


def _replaced(results: StudyResults) -> str:
    mine, leader = (loss_name(run.loss) for run in (results.best, results.leader))
    return (
        f"The test set took part in the choice of the loss: it shows {mine} to be as good within "
        f"{results.config.evaluation.equivalence_margin:g} as {leader}, the first on the threshold set."
    )


def _chosen_among(results: StudyResults) -> str:
    """Name how many methods and models competed."""
    if results.best.loss != results.leader.loss:
        return "Model and threshold chosen"
    runs = results.ranked
    if len(runs) == 1:
        return "Threshold chosen"
    n_methods = len({run.loss for run in runs})
    kind = "methods" if any(run.seed is None for run in runs) else "loss functions"
    models = f" ({len(runs)} models)" if len(runs) > n_methods else ""
    return f"Chosen among {n_methods} {kind}{models}" if n_methods > 1 else f"Chosen among {len(runs)} models"


def _kept(results: StudyResults) -> str:
    """Describe on how many scans the threshold was chosen; of several folds on how many in each."""
    counts = of_run(results.written_thresholds, results.best)["n_scans"].astype(int)
    least, most = counts.min(), counts.max()
    scans = f"{'' if least == most else f'{least} to '}{plural(most, 'scan')} kept"
    return (
        f"{scans} for choosing thresholds" if len(counts) == 1 else f"{scans} in each fold for choosing its threshold"
    )


def _trained_with(results: StudyResults) -> str:
    best = results.best
    if best.seed is None:
        return ""
    return results.label(best).replace(loss_name(best.loss), f"{loss_name(best.loss)} loss", 1)


def _score(chosen: pd.Series) -> str:
    return format_number(float(chosen["score"]))


def _meaning(results: StudyResults) -> str:
    chosen = of_run(results.written_thresholds, results.best)
    if len(chosen) > 1:
        each = f"Each of the {len(chosen)} folds has a network of its own and chose a threshold"
        if chosen["threshold"].nunique() == 1:
            t = results.threshold_text(results.best)
            return f"{each}, all the same; a voxel is marked as lesion where its fold gives it {t} or more."
        return f"{each} of its own; a voxel is marked as lesion where its probability is at least that of its fold."
    t = results.threshold_text(results.best)
    marked = f"A voxel is marked as lesion where this model gives it a probability of {t} or more"
    volume = float(chosen[VOLUME].iloc[0]) if VOLUME in chosen else 0.0
    return f"{marked}; connected pieces of up to {volume:g} mm³ are then removed." if volume else f"{marked}."


def _expectations(results: StudyResults, runs: pd.DataFrame, points: pd.DataFrame) -> tuple[Expectation, ...]:
    best = results.best
    default, tuned = (of_run(points, best, tuned=tuned).iloc[0] for tuned in (False, True))
    overlap = tuple(find_overlap(results, runs, tuned=tuned) for tuned in (True, False))
    scores = {
        metric: tuple(of_run(runs, best, set="test", metric=metric, tuned=tuned).iloc[0] for tuned in (True, False))
        for metric in ("subject_sensitivity", "subject_specificity")
    }
    found, clean = scores["subject_sensitivity"], scores["subject_specificity"]
    lesions, scans = f"of the {tuned['n_lesions']} lesions of all", f"mean over all {tuned['n_scans']}"
    rows = [Expectation("False positives per scan", f"{scans} test scans", *map(_false, (tuned, default)))]
    if tuned["n_lesions"]:
        rows.insert(0, Expectation("Lesions found", f"{lesions} test scans", *map(_found, (tuned, default))))
        rows.append(
            Expectation("Scans with lesions in which at least one is found", _of(found[0]), *map(_share, found))
        )
    if clean[0]["n"]:
        rows.append(Expectation("Lesion-free scans without a false positive", _of(clean[0]), *map(_share, clean)))
    basis = f"{overlap[0].summary} of {overlap[0].n_scans} test scans with lesions; 1 is perfect"
    rows.append(Expectation("Overlap with the reference", basis, *map(_overlap, overlap)))
    return tuple(rows)


def _of(score: pd.Series) -> str:
    return f"of {score['n']:.0f} test scans"


def _percents(low: float, high: float) -> str:
    return "" if math.isnan(low) else f"{100 * low:.0f} to {100 * high:.0f} %"


def _found(row: pd.Series) -> Value:
    return Value(format_percent(row["found"]), _percents(row["found_low"], row["found_high"]))


def _false(row: pd.Series) -> Value:
    low, high = row["false_low"], row["false_high"]
    return Value(f"{row['false']:.1f}", "" if math.isnan(low) else f"{low:.1f} to {high:.1f}")


def _share(score: pd.Series) -> Value:
    return Value(format_percent(score["value"]), _percents(score["low"], score["high"]))


def _overlap(overlap: Overlap) -> Value:
    interval = "" if math.isnan(overlap.low) else format_interval(overlap.low, overlap.high)
    return Value(format_number(overlap.value), interval.strip("[]").replace(", ", " to "))
