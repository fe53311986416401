"""Which methods of a study chose something at an end of what was tried, where more may be gained beyond it."""

from collections.abc import Iterator

from cordlesion.report.words import enumerate_words
from cordlesion.study_folder.results import StudyResults
from cordlesion.study_folder.runs import Run, of_run
from cordlesion.threshold import THRESHOLD_RULES, VOLUME
from cordlesion.threshold.edges import describe_edge


def ends_of_what_was_tried(results: StudyResults) -> Iterator[str]:
    """Yield a sentence on the thresholds at an end of the grid, and one on each other setting; none as a rule."""
    grid, tuned = results.grid, results.tuned
    if ends := [run for run in results.ranked if tuned[run] <= grid[1] or tuned[run] >= grid[-2]]:
        yield (
            f"The best threshold of {enumerate_words([results.label(run) for run in ends])} lies at the end of "
            "the grid that was tried: one beyond or between its last steps may be better."
        )
    found: dict[str, list[str]] = {}
    for run in results.ranked:
        for words in dict.fromkeys(_settings(results, run)):
            found.setdefault(words, []).append(results.label(run))
    for words, names in found.items():
        yield f"{words} ({enumerate_words(names)}): more may be gained beyond it."


def _settings(results: StudyResults, run: Run) -> Iterator[str]:
    """Yield each setting of a run, but its threshold, that lies at an end."""
    chosen, volumes = of_run(results.written_thresholds, run), results.config.threshold.minimum_volumes_mm3
    for value in chosen.get(VOLUME, ()):
        if words := describe_edge(VOLUME, value, volumes):
            yield words
    for _, row in of_run(results.rule_choices, run).iterrows():
        rule, setting = row["threshold_rule"], row["setting"]
        tried = THRESHOLD_RULES[rule].tried.get(setting, ()) if rule in THRESHOLD_RULES else ()
        if words := describe_edge(setting, row["value"], tried) if len(tried) else "":
            yield f"By the threshold rule {rule}, {words}"
