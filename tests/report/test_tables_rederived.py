"""Every cell of every table once more, from ``evaluation.tsv`` with pandas and scipy, none of our code.

What ``evaluation.tsv`` cannot tell is read beside it: the sets that are not evaluated and how scans were acquired
(``splits.tsv``), intervals and plateaus of thresholds (``thresholds.tsv``; they come from the sweep), and the paper's
table. A table without a derivation here fails.
"""

import re
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_study import FakeStudy
from scipy import stats

from cordlesion.report.results import read_results
from cordlesion.report.summaries import summarize_runs
from cordlesion.report.tables import write_tables
from cordlesion.report.tables.paper import PRINTED

NAMES = {"bce": "BCE", "dice": "Dice", "tversky": "Tversky", "sct": "SCT"}
SCORES = ["lesion_sensitivity", "lesion_precision", "lesion_f1", "voxel_sensitivity", "voxel_precision", "voxel_f1"]
HEAD = [
    "L-sensitivity",
    "L-precision",
    "L-F1",
    "V-sensitivity",
    "V-precision",
    "V-F1",
    "P-sensitivity",
    "P-specificity",
]
F1 = {"voxel_f1": "V-F1", "lesion_f1": "L-F1"}


class Derived:
    """The study's tables as lists of rows of text."""

    def __init__(self, folder: Path) -> None:
        evaluation, self.splits, self.chosen = (
            pd.read_csv(folder / f"{name}.tsv", sep="\t", na_values="n/a")
            for name in ("evaluation", "splits", "thresholds")
        )
        self.losses = list(evaluation["loss"].unique())
        self.tuned = {loss: rows["threshold"].unique() for loss, rows in evaluation.groupby("loss")}
        self.tuned = {loss: next((t for t in ts if t != 0.5), 0.5) for loss, ts in self.tuned.items()}
        self.at = {
            (loss, name, t): rows.set_index("scan_id").sort_index()
            for (loss, name, t), rows in evaluation.groupby(["loss", "set", "threshold"])
        }
        self.score = {loss: self.bearing(loss, "threshold", t)["voxel_f1"].median() for loss, t in self.tuned.items()}
        self.best = max(self.losses, key=lambda loss: self.score[loss])

    def bearing(self, loss: str, name: str, t: float) -> pd.DataFrame:
        return self.at[loss, name, t].query("reference_volume_mm3 > 0")

    def free(self, loss: str, name: str, t: float) -> pd.DataFrame:
        return self.at[loss, name, t].query("reference_volume_mm3 == 0")

    def scores(self, *, tuned: bool, marks: bool) -> dict[tuple[str, str], list[str]]:
        """The cells of Table 1 or 2 behind loss and set."""
        rows, p = {}, {}
        for loss, name in ((loss, name) for loss in self.losses for name in ("threshold", "test")):
            t = self.tuned[loss] if tuned else 0.5
            scans, free = self.bearing(loss, name, t), self.free(loss, name, t)
            found, clean = (scans["n_detected_lesions"] > 0), (free["n_predicted_lesions"] == 0)
            rows[loss, name] = [
                *([number(t)] if tuned else []),
                f"{len(scans)} + {len(free)} without" if len(free) else str(len(scans)),
                *(spread(scans[metric]) for metric in SCORES),
                *(f"{x.mean():.2f} ({x.sum()}/{len(x)})" if len(x) else "–" for x in (found, clean)),
            ]
            if marks and t != 0.5:
                half = self.bearing(loss, name, 0.5)
                p |= {(loss, name, metric): wilcoxon(scans[metric] - half[metric]) for metric in SCORES}
        for (loss, name, metric), adjusted in holm(p).items():
            column = SCORES.index(metric) + 2
            mark = "*" * bool(p[loss, name, metric] <= 0.05) + "†" * bool(adjusted <= 0.05)
            rows[loss, name][column] = rows[loss, name][column].replace(" ", f"{mark} ", 1)
        return rows

    def table(self, *, tuned: bool) -> list[list[str]]:
        head = ["Loss", "Set", *(["Optimal threshold"] if tuned else []), "Scans", *HEAD]
        rows = self.scores(tuned=tuned, marks=tuned)
        return [head, *([NAMES[loss], name, *cells] for (loss, name), cells in rows.items())]

    def cohort(self) -> list[list[str]]:
        sets = {"train": "training", "validation": "validation", "threshold": "threshold", "test": "test"}
        parts = {label: self.splits[self.splits["set"] == name] for name, label in sets.items()} | {"all": self.splits}
        head = ["Set", "Scans", "with lesions", "without", "Subjects", "Sites", "Lesions", "Lesions per scan"]
        rows = []
        for label, part in parts.items():
            bearing = part[part["n_reference_lesions"] > 0]
            counts = [len(part), len(bearing), len(part) - len(bearing), part["subject"].nunique()]
            counts += [part["site"].nunique(), part["n_reference_lesions"].sum()]
            quartiles = (
                bearing[["n_reference_lesions", "reference_volume_mm3"]].quantile([0.5, 0.25, 0.75]).T.to_numpy()
            )
            rows.append([label, *map(str, counts), *("{:.0f} [{:.0f}, {:.0f}]".format(*q) for q in quartiles)])
        return [[*head, "mm³ per scan"], *rows]

    def thresholds(self) -> list[list[str]]:
        head = ["Loss", "Tuned t", "95 % interval", "Plateau", "Score", "Scans", "Subjects"]
        rows = [head]
        for loss, t in self.tuned.items():
            row = self.chosen.set_index("loss").loc[loss]
            scans = self.bearing(loss, "threshold", t)
            ends = [brackets(row[f"{name}_low"], row[f"{name}_high"]) for name in ("interval", "plateau")]
            counts = [str(len(scans)), str(scans["subject"].nunique())]
            rows.append([NAMES[loss], number(t), *ends, number(self.score[loss]), *counts])
        return [head, *sorted(rows[1:], key=lambda row: list(NAMES.values()).index(row[0]))]

    def differences(self) -> list[list[str]]:
        rows, p = {}, {}
        mine = self.bearing(self.best, "test", self.tuned[self.best])
        for loss, metric in ((loss, metric) for loss in self.losses if loss != self.best for metric in F1):
            difference = (mine[metric] - self.bearing(loss, "test", self.tuned[loss])[metric]).round(12)
            ranks = difference[difference != 0].abs().rank()
            effect = (ranks * np.sign(difference[difference != 0])).sum() / ranks.sum()
            p[loss, metric] = wilcoxon(difference)
            ends = brackets(*bootstrap(difference, mine["subject"]), sign="+")
            cells = [number(difference.median(), "+"), ends, number(effect, "+"), p_text(p[loss, metric])]
            rows[loss, metric] = [NAMES[loss], F1[metric], str(len(difference)), *cells]
        for key, adjusted in holm(p).items():
            rows[key].append(p_text(adjusted) + "*" * bool(adjusted <= 0.05))
        return [
            ["Against", "Metric", "Scans", "Difference", "95 % interval", "Effect", "p", "p (Holm)"],
            *rows.values(),
        ]

    def lesion_free(self) -> list[list[str]]:
        rows = [["Loss", "Threshold", "Scans", "Clean", "95 % interval", "False lesions", "False volume, mm³"]]
        for loss in self.losses:
            for t, told in ((0.5, ""), (self.tuned[loss], " tuned")):
                free = self.free(loss, "test", t)
                lesions, volume = free["n_predicted_lesions"], free["predicted_volume_mm3"]
                k, n = (lesions == 0).sum(), len(free)
                share = f"{k / n:.2f} ({k}/{n})"
                ends = brackets(*stats.binomtest(int(k), n).proportion_ci())
                false = [f"{lesions.mean():.2f} ({lesions.max():.0f})", f"{volume.mean():.0f} ({volume.max():.0f})"]
                rows.append([NAMES[loss], number(t) + told, str(n), share, ends, *false])
        return rows

    def paper(self) -> list[list[str]]:
        rows = [["Loss", "Set", "Source", "Optimal threshold", "Scans", *HEAD]]
        ours = self.scores(tuned=True, marks=False)
        scans = {"threshold": "14", "test": "26 + 46 without"}
        for line in PRINTED.read_text(encoding="utf-8").splitlines()[2:]:
            loss, name, threshold, *cells = line.split("\t")
            cells = [re.sub(r"[\d.]+", lambda found: f"{float(found[0]):.2f}", c).replace("±", " ± ") for c in cells]
            cells[-1] = "–" if name == "threshold" else cells[-1]
            if loss in self.losses:
                rows.append([NAMES[loss], name, "paper", number(float(threshold)), scans[name], *cells])
                rows.append([NAMES[loss], name, "this study", *ours[loss, name]])
        return rows

    def by(self, column: str, title: str) -> list[list[str]]:
        groups = self.splits.set_index("scan_id")[column]
        if column == "slice_spacing_mm":
            groups = groups.map(lambda mm: f"{int(mm)} to {int(mm) + 1} mm")
        groups = groups.fillna("not recorded")
        test = {loss: self.bearing(loss, "test", self.tuned[loss]) for loss in self.losses}
        present = set(groups[test[self.best].index])
        rows = [[title, "Metric", "Scans", "Subjects", *(NAMES[loss] for loss in self.losses)]]
        last = ["not recorded"] if "not recorded" in present else []
        for value in [*sorted(present - {"not recorded"}), *last, "all"]:
            for metric in F1:
                parts = {loss: scans[(groups[scans.index] == value) | (value == "all")] for loss, scans in test.items()}
                n_subjects = parts[self.best]["subject"].nunique()
                cells = [subgroup_cell(part[metric], part["subject"], n_subjects) for part in parts.values()]
                few = " too few" if n_subjects < 5 else ""
                rows.append([value, F1[metric], str(len(parts[self.best])), f"{n_subjects}{few}", *cells])
        return rows


def number(value: float, sign: str = "") -> str:
    return f"{value:{sign}.2f}".replace("-", "−")


def brackets(low: float, high: float, sign: str = "") -> str:
    return f"[{number(low, sign)}, {number(high, sign)}]"


def p_text(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def spread(values: pd.Series) -> str:
    return f"{values.median():.2f} ({values.mean():.2f} ± {values.std():.2f})"


def subgroup_cell(values: pd.Series, subjects: pd.Series, n_subjects: int) -> str:
    if len(values) == 1:
        return f"{values.iloc[0]:.2f} (one scan)"
    return spread(values) + (f" {brackets(*bootstrap(values, subjects))}" if n_subjects >= 5 else "")


def wilcoxon(difference: pd.Series) -> float:
    """All signs of the ranks are tried out: exact with ties."""
    difference = difference.round(12)
    difference = difference[difference != 0].to_numpy()
    return (
        stats.wilcoxon(difference, method=stats.PermutationMethod(n_resamples=np.inf)).pvalue
        if len(difference)
        else 1.0
    )


def holm(p: dict) -> dict:
    ordered = sorted(p, key=lambda key: p[key])
    steps = [min(1.0, (len(p) - rank) * p[key]) for rank, key in enumerate(ordered)]
    return dict(zip(ordered, np.maximum.accumulate(steps), strict=True)) if p else {}


def bootstrap(values: pd.Series, subjects: pd.Series) -> tuple[float, float]:
    """Percentiles of 10 000 medians, subjects drawn with all their scans, from the generator with seed 0."""
    return _bootstrap(tuple(values), tuple(pd.factorize(subjects, sort=True)[0]))


@cache  # the rows of all scans return in every table of subgroups
def _bootstrap(values: tuple[float, ...], codes: tuple[int, ...]) -> tuple[float, float]:
    n = max(codes) + 1
    drawn = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=10_000)
    medians = [np.median(np.repeat(values, times[list(codes)])) for times in drawn]
    return tuple(np.percentile(medians, [2.5, 97.5]))


@pytest.fixture(scope="module")
def written(fake_study: FakeStudy, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[list[str]]]:
    """The tables as a reader of the files sees them."""
    folder = Path(shutil.copytree(fake_study.folder, tmp_path_factory.mktemp("rederived") / "study"))
    results = read_results(folder)
    write_tables(results, summarize_runs(results))
    files = [path for path in (folder / "tables").glob("*.tsv") if not path.stem.startswith("summary")]
    return {path.stem: [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()] for path in files}


DERIVATIONS = {
    "cohort": Derived.cohort,
    "table1": lambda derived: derived.table(tuned=False),
    "table2": lambda derived: derived.table(tuned=True),
    "thresholds": Derived.thresholds,
    "differences": Derived.differences,
    "lesion_free": Derived.lesion_free,
    "paper": Derived.paper,
    "by_site": lambda derived: derived.by("site", "Site"),
    "by_manufacturer": lambda derived: derived.by("manufacturer", "Manufacturer"),
    "by_scanner": lambda derived: derived.by("scanner", "Scanner"),
    "by_orientation": lambda derived: derived.by("orientation", "Orientation"),
    "by_slice_spacing": lambda derived: derived.by("slice_spacing_mm", "Slice spacing"),
}


def test_no_table_is_left_out(written: dict[str, list[list[str]]]) -> None:
    assert set(written) == set(DERIVATIONS)


@pytest.mark.parametrize("name", DERIVATIONS)
def test_every_cell(written: dict[str, list[list[str]]], fake_study: FakeStudy, name: str) -> None:
    expected = DERIVATIONS[name](Derived(fake_study.folder))
    assert len(written[name]) == len(expected)
    for row, wanted in zip(written[name], expected, strict=True):
        assert row == wanted
