"""Every cell of every table once more, from ``evaluation.tsv`` with pandas and scipy, none of our code.

What ``evaluation.tsv`` cannot tell is read beside it: the sets that are not evaluated and how scans were acquired
(``splits.tsv``), intervals and plateaus of thresholds (``thresholds.tsv``), curves over thresholds (``sweep.tsv``),
what the analysis counted (``rules.tsv``, ``strata.tsv``, ``calibration.tsv``, ``reliability.tsv``), and the paper's
tables.
"""

import itertools
import json
import re
from collections import Counter
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from plain_statistics import (
    as_good,
    brackets,
    chance,
    change_of_ratio,
    change_of_scans,
    drawn_ranks,
    fine,
    fine_brackets,
    flipped,
    froc_score,
    holm,
    median_interval,
    number,
    p_text,
    rank_biserial,
    rate,
    share,
    spread,
    subgroup_cell,
    wilcoxon,
)
from scipy import stats

from cordlesion.report.sections.paper import PRINTED

NAMES = {"bce": "BCE", "dice": "Dice", "tversky": "Tversky", "sct": "SCT", "hard": "hard"}
GIVEN = -1.0
"""Stands for the threshold that masks do not have."""
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
        self.folder = folder
        evaluation, self.splits, self.chosen, self.sweep, self.by_rule, self.sizes, self.calibrated, self.bins = (
            pd.read_csv(folder / f"{name}.tsv", sep="\t", na_values="n/a")
            for name in (
                *("evaluation", "splits", "thresholds", "sweep"),
                *("rules", "strata", "calibration", "reliability"),
            )
        )
        self.losses = list(evaluation["loss"].unique())
        evaluation["threshold"] = evaluation["threshold"].fillna(GIVEN)
        self.trained = set(evaluation[evaluation["seed"].notna()]["loss"])
        self.tuned = {loss: rows["threshold"].unique() for loss, rows in evaluation.groupby("loss")}
        self.tuned = {loss: next((t for t in ts if t != 0.5), 0.5) for loss, ts in self.tuned.items()}
        self.at = {
            (loss, name, t): rows.set_index("scan_id").sort_index()
            for (loss, name, t), rows in evaluation.groupby(["loss", "set", "threshold"])
        }
        self.with_maps = [loss for loss in self.losses if self.tuned[loss] != GIVEN]
        self.score = {
            loss: self.bearing(loss, "threshold", self.tuned[loss])["voxel_f1"].median() for loss in self.with_maps
        }
        self.best = max(self.with_maps, key=lambda loss: self.score[loss])

    def bearing(self, loss: str, name: str, t: float) -> pd.DataFrame:
        return self.scans(loss, name, t).query("reference_volume_mm3 > 0")

    def free(self, loss: str, name: str, t: float) -> pd.DataFrame:
        return self.scans(loss, name, t).query("reference_volume_mm3 == 0")

    def scans(self, loss: str, name: str, t: float) -> pd.DataFrame:
        """Masks are the same at any threshold."""
        return self.at[loss, name, t if loss in self.with_maps else GIVEN]

    def scores(self, *, tuned: bool, marks: bool) -> dict[tuple[str, str], list[str]]:
        """The cells of Table 1 or 2 behind loss and set."""
        rows, p = {}, {}
        for loss, name in ((loss, name) for loss in self.losses for name in ("threshold", "test")):
            t = self.tuned[loss] if tuned else 0.5
            scans, free = self.bearing(loss, name, t), self.free(loss, name, t)
            found, clean = (scans["n_detected_lesions"] > 0), (free["n_predicted_lesions"] == 0)
            rows[loss, name] = [
                *([number(t) if t != GIVEN else "–"] if tuned else []),
                f"{len(scans)} + {len(free)} without" if len(free) else str(len(scans)),
                *(spread(scans[metric]) for metric in SCORES),
                *(f"{x.mean():.2f} ({x.sum()}/{len(x)})" if len(x) else "–" for x in (found, clean)),
            ]
            if marks and t not in (0.5, GIVEN):
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
            rows[-1] += [self._brands(part), self._voxel(part)]
        return [[*head, "mm³ per scan", "Brands", "Voxel (mm)"], *rows]

    def _brands(self, part: pd.DataFrame) -> str:
        counts = Counter(part["manufacturer"].dropna())
        return ", ".join(sorted(counts, key=lambda brand: (-counts[brand], brand)))

    def _voxel(self, part: pd.DataFrame) -> str:
        """Of the scans whose files the manifest names."""
        scans = json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))["scans"]
        files = [self.folder / "bids" / scans[scan]["image"] for scan in part["scan_id"] if scan in scans]
        edges = [sorted(nib.load(file).header.get_zooms()[:3]) for file in files]
        if not edges:
            return "–"
        return " × ".join(f"{np.mean(one):.2f} ± {np.std(one, ddof=1):.2f}" for one in zip(*edges, strict=True))

    def thresholds(self) -> list[list[str]]:
        head = ["Loss", "Tuned t", "95 % interval", "Plateau", "Width", "Score", "Lost at t − 0.05", "Lost at t + 0.05"]
        rows = []
        for loss in self.with_maps:
            t = self.tuned[loss]
            row = self.chosen.set_index("loss").loc[loss]
            ends = [brackets(row[f"{name}_low"], row[f"{name}_high"]) for name in ("interval", "plateau")]
            width = number(row["plateau_high"] - row["plateau_low"])
            moved = [
                (
                    fine(self.score[loss] - self.swept(loss, "threshold", t + shift).median())
                    if 0 <= t + shift <= 1
                    else "–"
                )
                for shift in (-0.05, 0.05)
            ]
            rows.append([NAMES[loss], number(t), *ends, width, number(self.score[loss]), *moved, number(row["area"])])
        return [[*head, "Area under the curve"], *sorted(rows, key=lambda row: list(NAMES.values()).index(row[0]))]

    def swept(self, loss: str, name: str, t: float) -> pd.Series:
        rows = self.sweep[(self.sweep["loss"] == loss) & (self.sweep["set"] == name)]
        return rows[rows["threshold"].sub(t).abs() < 1e-9].set_index("scan_id")["voxel_f1"].dropna()

    def tuning(self) -> list[list[str]]:
        rows, p, beyond, tested = {}, {}, {}, {}
        for loss, metric in ((loss, metric) for loss in self.with_maps for metric in F1):
            half, tuned = (self.bearing(loss, "test", t) for t in (0.5, self.tuned[loss]))
            change = tuned[metric] - half[metric]
            low, high = median_interval(change, tuned["subject"])
            beyond[metric, loss] = low > 0 or high < 0
            moved = change.round(12) != 0
            ends = brackets(low, high, sign="+")
            medians = [number(x[metric].median()) for x in (half, tuned)]
            p[metric, loss] = wilcoxon(change) if moved.any() else np.nan
            cells = [number(change.median(), "+"), ends, number(rank_biserial(change), "+"), p_text(p[metric, loss])]
            rows[loss, metric] = [NAMES[loss], F1[metric], str(len(change)), *medians, *cells]
            tested[loss, metric] = str(tuned["subject"][change.notna()].nunique())
        for metric in F1:
            for (_, loss), adjusted in holm({key: x for key, x in p.items() if key[0] == metric and x == x}).items():
                effect = rows[loss, metric][7]
                sure = adjusted <= 0.05 and beyond[metric, loss]
                said = "undecided" if not sure else "harms" if effect.startswith("−") else "helps"
                rows[loss, metric] += [p_text(adjusted) + "*" * bool(adjusted <= 0.05), said]
        head = [
            "Loss",
            "Metric",
            "Scans",
            "t = 0.5",
            "Tuned t",
            "Difference",
            "95 % interval",
            "Effect",
            "p",
            "p (Holm)",
        ]
        full = {key: row if len(row) > 9 else [*row, "–", "no change"] for key, row in rows.items()}
        return [[*head, "Tuning", "Subjects"], *([*row, tested[key]] for key, row in full.items())]

    def stability(self) -> list[list[str]]:
        changes = {}
        for loss in self.with_maps:
            t = self.tuned[loss]
            here = self.swept(loss, "test", t)
            sides = [self.swept(loss, "test", t + shift) for shift in (-0.05, 0.05) if t + shift > 0.001]
            changes[loss] = pd.concat([(side - here).abs() for side in sides if len(side)], axis=1).mean(axis=1)
        subject = self.bearing(self.best, "test", self.tuned[self.best])["subject"]
        order = sorted(changes, key=lambda loss: changes[loss].median())
        rows = [["Loss", "Scans", "Change", "95 % interval", "More than the first", "95 % interval"]]
        rows[0] += ["p", "p (all pairs)", "Subjects"]
        pairs = holm({pair: wilcoxon(changes[pair[1]] - changes[pair[0]]) for pair in itertools.combinations(order, 2)})
        for loss in order:
            change, excess = changes[loss], (changes[loss] - changes[order[0]]).round(15)
            row = [NAMES[loss], str(len(change)), fine(change.median()), fine_brackets(change, subject)]
            more = [fine(excess.median(), "+"), fine_brackets(excess, subject, "+"), p_text(wilcoxon(excess))]
            more += [p_text(pairs.get((order[0], loss), 1)), str(subject[excess.notna()].nunique())]
            rows.append([*row, *(more if loss != order[0] else ["–"] * 5)])
        return rows

    def pairs(self) -> list[list[str]]:
        """Every loss has one seed, which leaves its noise unknown; comparators have no seeds."""
        head = ["Metric", "Loss", "Against", "Verdict", "Scans", "Difference", "95 % over subjects"]
        head += ["95 % over subjects and seeds", "Effect", "p", "p (Holm)", "Subjects", "p over subjects (Holm)"]
        rows = [[*head, "Detectable", "p as good (Holm)", "Compared", "Role"]]
        for metric in F1:
            scans = {loss: self.bearing(loss, "test", self.tuned[loss]) for loss in self.losses}
            people = {loss: part.groupby("subject")[metric].mean() for loss, part in scans.items()}
            changes = {(a, b): people[b] - people[a] for a, b in itertools.combinations(self.losses, 2)}
            tests = {pair: stats.ttest_1samp(change, 0) for pair, change in changes.items()}
            p = {pair: max(one.pvalue, 2 / 2 ** len(changes[pair])) for pair, one in tests.items()}
            mine = holm({pair: one for pair, one in p.items() if self.best in pair})
            over_all = {pair: max(one, min(mine.values())) for pair, one in holm(p).items()}
            seedless = {pair: as_good(change) for pair, change in changes.items() if not self.trained & set(pair)}
            equal = holm(seedless) if metric == "voxel_f1" else {}
            for (a, b), change in changes.items():
                first = self.best in (a, b)
                adjusted, m = (mine[a, b], len(mine)) if first else (over_all[a, b], len(p))
                unknown = bool(self.trained.intersection((a, b)))
                decided = "seed noise unknown" if unknown else "better" if change.mean() > 0 else "worse"
                ends = brackets(*tests[a, b].confidence_interval(), sign="+")
                free = len(change) - 1
                reach = stats.t.ppf(1 - 0.025 / m, free) + stats.t.ppf(0.8, free)
                gap = number(reach * change.sem()) if 2 / 2 ** len(change) <= 0.05 / m else "–"
                words = [F1[metric], NAMES[b], NAMES[a], decided if adjusted <= 0.05 else "undecided"]
                cells = [str(len(scans[a])), number(change.mean(), "+"), ends, "–" if unknown else ends]
                cells += [number(rank_biserial(change), "+"), p_text(p[a, b])]
                cells += [p_text(adjusted) + "*" * bool(adjusted <= 0.05), str(len(change)), p_text(adjusted), gap]
                cells.append(p_text(equal[a, b]) + "*" * bool(equal[a, b] <= 0.05) if (a, b) in equal else "–")
                rows.append([*words, *cells, str(m), "primary" if first and metric == "voxel_f1" else "exploratory"])
        return rows

    def ranks(self) -> list[list[str]]:
        """Every loss has one seed, so only subjects are drawn."""
        scans = {loss: self.bearing(loss, "test", self.tuned[loss]) for loss in self.losses}
        people = pd.DataFrame({loss: part.groupby("subject")["voxel_f1"].mean() for loss, part in scans.items()})
        low, high, best = drawn_ranks(people.to_numpy())
        ranks = people.mean().rank(ascending=False, method="min").astype(int)
        seeds = {loss: "1" if loss in self.trained else "–" for loss in self.losses}
        drawn = [(f"{a} to {b}", chance(p)) for a, b, p in zip(low, high, best, strict=True)]
        rows = [
            [
                "Losses",
                NAMES[loss],
                seeds[loss],
                number(people[loss].mean()),
                str(ranks[loss]),
                *drawn[k],
            ]
            for k, loss in enumerate(self.losses)
        ]
        head = ["Ranked", "Method", "Seeds", "Mean V-F1", "Rank", "95 % interval", "Probability of being the best"]
        return [head, *sorted(rows, key=lambda row: int(row[4]))]

    def strata(self) -> list[list[str]]:
        rows = [["Loss", "Share", "< 40 mm³", "40 to 100 mm³", "≥ 100 mm³", "FROC score"]]
        of_test = self.sweep[self.sweep["set"] == "test"]
        for loss, sizes in self.sizes.groupby("loss", sort=False):
            for name, found, of in (
                ("sensitivity", "n_detected_lesions", "n_reference_lesions"),
                ("precision", "n_true_predicted_lesions", "n_predicted_lesions"),
            ):
                cells = []
                for _, part in sizes.groupby("low_mm3"):
                    k, n = part[found].sum(), part[of].sum()
                    enough = part.loc[part[of] > 0, "subject"].nunique() >= 5
                    interval = f" {brackets(*share(part[found], part[of], part['subject']))}" if enough else ""
                    cells.append(f"{k / n:.2f} ({k}/{n}){interval}")
                froc = froc_score(of_test[of_test["loss"] == loss]) if loss in self.with_maps else "–"
                rows.append([NAMES[loss], name, *cells, froc if name == "sensitivity" else ""])
        return rows

    def rules(self) -> list[list[str]]:
        losses = list(self.by_rule["loss"].unique())
        rows = [["Rule", *(NAMES[loss] for loss in losses)]]
        for rule, of_rule in self.by_rule[self.by_rule["reference_volume_mm3"] > 0].groupby("rule", sort=False):
            cells = []
            for loss in losses:
                scans = of_rule[of_rule["loss"] == loss]
                interval = brackets(*median_interval(scans["lesion_f1"], scans["subject"]))
                cells.append(f"{spread(scans['lesion_f1'])} {interval}")
            rows.append([rule, *cells])
        return rows

    def calibration(self) -> list[list[str]]:
        head = ["Loss", "Tuned t", "Lesion share at t", "Half of F1", "Temperature", "ECE", "ECE scaled", "Brier"]
        rows = [[*head, "Brier scaled", "Σp / lesion volume"]]
        for loss in self.calibrated["loss"].unique():
            t = self.tuned[loss]
            tested = self.calibrated[(self.calibrated["loss"] == loss) & (self.calibrated["set"] == "test")]
            raw, scaled = (tested[tested["map"] == kind].iloc[0] for kind in ("raw", "scaled"))
            bins = self.bins.query("loss == @loss and set == 'threshold' and map == 'raw' and n_voxels > 0")
            share = np.interp(t, bins["mean_probability"], bins["lesion_share"])
            scans = self.at[loss, "threshold", t]
            common = (scans["voxel_sensitivity"] * scans["reference_volume_mm3"]).sum()
            half = common / (scans["reference_volume_mm3"].sum() + scans["predicted_volume_mm3"].sum())
            errors = [
                f"{one[name]:.4f}" for name in ("expected_calibration_error", "brier_score") for one in (raw, scaled)
            ]
            ratio = number(raw["sum_probability"] / raw["n_lesion_voxels"])
            rows.append([NAMES[loss], *map(number, (t, share, half, scaled["temperature"])), *errors, ratio])
        return rows

    def operation(self) -> list[list[str]]:
        counted = ["Lesion-free scans without a false positive", "False positives per lesion-free scan"]
        rows = [["Loss", "Cut", "t", "Lesions found", "False positives per scan", *counted]]
        for loss in self.losses:
            kinds = ((self.tuned[loss], "tuned"), (0.5, "usual")) if loss in self.with_maps else ((GIVEN, "as given"),)
            for t, told in kinds:
                scans, free = self.scans(loss, "test", t), self.free(loss, "test", t)
                k, n = scans["n_detected_lesions"], scans["n_reference_lesions"]
                found = f"{k.sum() / n.sum():.2f} ({k.sum()}/{n.sum()}) "
                found += brackets(*share(k, n, scans["subject"]))
                wrong, healthy = (s["n_predicted_lesions"] - s["n_true_predicted_lesions"] for s in (scans, free))
                ends = f" {brackets(*rate(wrong, scans['subject']))}"
                clean = f"{(free['n_predicted_lesions'] == 0).sum()}/{len(free)}"
                named = [NAMES[loss], told, "–" if t == GIVEN else number(t)]
                rows.append([*named, found, number(wrong.mean()) + ends, clean, number(healthy.mean())])
        return rows

    def changes(self) -> list[list[str]]:
        head = ["Loss", "Metric", "t = 0.5", "Tuned t", "Difference", "95 % interval", "p", "p (Holm)", "Scans"]
        rows, p = {}, {}
        for loss in (loss for loss in self.with_maps if self.tuned[loss] != 0.5):
            half, tuned = (self.scans(loss, "test", t) for t in (0.5, self.tuned[loss]))
            subject, of = half["subject"], half["n_reference_lesions"]
            false = [s["n_predicted_lesions"] - s["n_true_predicted_lesions"] for s in (half, tuned)]
            free = half["reference_volume_mm3"] == 0
            kinds = {
                "Lesions found": ([s["n_detected_lesions"] for s in (half, tuned)], of),
                "False positives per scan": (false, of * 0 + 1),
                "P-sensitivity": ([(s["n_detected_lesions"] > 0)[of > 0] for s in (half, tuned)], None),
                "P-specificity": ([(s["n_predicted_lesions"] == 0)[free] for s in (half, tuned)], None),
            }
            for name, ((before, after), units) in kinds.items():
                moved, here = after.astype(int) - before.astype(int), subject[before.index]
                if units is None:
                    ends, n = change_of_scans(moved, here), len(moved)
                else:
                    ends, n = change_of_ratio(moved, units, here, is_share=name == "Lesions found"), units.sum()
                counted = here if units is None else here[units > 0]
                p[name, loss] = flipped(moved[counted.index], counted)
                values = [number(before.sum() / n), number(after.sum() / n), number(moved.sum() / n, "+")]
                counts = [str(len(counted)), str(counted.nunique())]
                rows[name, loss] = [[NAMES[loss], name, *values, brackets(*ends, "+")], counts]
        adjusted = {}
        for name in {name for name, _ in p}:
            adjusted |= holm({key: x for key, x in p.items() if key[0] == name and x == x})
        texts = {key: [p_text(p[key]), p_text(x) + "*" * bool(x <= 0.05)] for key, x in adjusted.items()}
        return [[*head, "Subjects"], *([*left, *texts[key], *right] for key, (left, right) in rows.items())]

    def lesion_free(self) -> list[list[str]]:
        head = ["Loss", "Threshold", "Scans", "Without a false positive", "95 % interval", "False positives"]
        rows = [[*head, "Their volume, mm³"]]
        for loss in self.losses:
            kinds = ((0.5, ""), (self.tuned[loss], " tuned")) if loss in self.with_maps else ((GIVEN, "–"),)
            for t, told in kinds:
                free = self.free(loss, "test", t)
                lesions, volume = free["n_predicted_lesions"], free["predicted_volume_mm3"]
                k, n = (lesions == 0).sum(), len(free)
                clean = f"{k / n:.2f} ({k}/{n})"
                ends = brackets(*stats.binomtest(int(k), n).proportion_ci())
                false = [f"{lesions.mean():.2f} ({lesions.max():.0f})", f"{volume.mean():.0f} ({volume.max():.0f})"]
                rows.append([NAMES[loss], told if t == GIVEN else number(t) + told, str(n), clean, ends, *false])
        return rows

    def paper(self, *, tuned: bool) -> list[list[str]]:
        rows = [["Loss", "Set", "Source", *(["Optimal threshold"] if tuned else []), "Scans", *HEAD]]
        ours = self.scores(tuned=tuned, marks=False)
        scans = {"threshold": "14", "test": "26 + 46 without"}
        for line in PRINTED[tuned].read_text(encoding="utf-8").splitlines()[2:]:
            loss, name, threshold, *cells = line.split("\t")
            cells = [re.sub(r"[\d.]+", lambda found: f"{float(found[0]):.2f}", c).replace("±", " ± ") for c in cells]
            cells[-1] = "–" if name == "threshold" or not tuned else cells[-1]
            cut = [number(float(threshold))] if tuned else []
            if loss in self.losses:
                rows.append([NAMES[loss], name, "paper", *cut, scans[name], *cells])
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
