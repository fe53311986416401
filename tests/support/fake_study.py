"""A small finished study on disk: three losses and one comparator with plausible numbers, and tiny scans."""

import itertools
import json
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from scipy import ndimage

from cordlesion.metrics.columns import LESION_COUNTS as COUNTS
from cordlesion.metrics.columns import METRIC_COLUMNS

THRESHOLDS = np.round(np.arange(21) * 0.05, 2)
RUNS = (("bce", 0), ("dice", 0), ("tversky", 0), ("sct", None))
# How fast sensitivity falls with the threshold, and how high precision starts.
CHARACTER = {"bce": (0.18, 0.30), "dice": (0.65, 0.42), "tversky": (1.1, 0.34), "sct": (0.22, 0.45)}

RULES = ("study", "anima", "ivadomed", "multi_spine", "any_overlap", "iou50")

YAML = """\
# Three losses on a simulated cohort.
name: {name}
dataset: bids
output: .
losses:
  - bce
  - dice
  - name: tversky
    parameters: {{fn_weight: 0.7, fp_weight: 0.3}}
seeds: [0]
preprocess:
  spacing_mm: 0.5
training:
  epochs: 120
"""


@dataclass(frozen=True)
class FakeStudy:
    folder: Path
    n_bearing: dict[str, int]
    n_free: int


def write_fake_study(
    folder: Path,
    n_bearing: dict[str, int],
    n_free: int,
    *,
    name: str = "Losses and thresholds, simulated cohort",
    site: str = "Site",
    shape: tuple[int, int, int] = (9, 40, 72),
) -> FakeStudy:
    """Write every artifact the report reads; the same arguments give the same bytes."""
    rng = np.random.default_rng(7)
    folder.mkdir(parents=True, exist_ok=True)
    splits = _splits(rng, n_bearing, n_free, site)
    sweep = _sweep(rng, splits)
    thresholds = _thresholds(sweep)
    (folder / "study.yaml").write_text(YAML.format(name=json.dumps(name)))
    _write(folder / "splits.tsv", splits)
    _write(folder / "sweep.tsv", sweep)
    _write(folder / "thresholds.tsv", thresholds)
    evaluation = _evaluation(sweep, thresholds)
    _write(folder / "evaluation.tsv", evaluation)
    _write_analysis(folder, evaluation, sweep, thresholds)
    for loss, seed in RUNS[:3]:
        _write(folder / "runs" / f"{loss}_seed-{seed}" / "history.tsv", _history(rng, loss))
    scans = splits[(splits["set"] == "test") & (splits["n_reference_lesions"] > 0)]["scan_id"]
    paths = {scan: _write_scan(rng, folder, scan, shape) for scan in scans}
    manifest = {
        "cordlesion": "0.1.0",
        "python": "3.11.9",
        "seeds": {"split": 0, "runs": [0]},
        "scans": paths,
        "excluded": {},
        "partial": {},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2))
    return FakeStudy(folder, n_bearing, n_free)


def _write(path: Path, table: pd.DataFrame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, sep="\t", index=False, na_rep="n/a")


def _splits(rng, n_bearing, n_free, site) -> pd.DataFrame:
    sets = [name for name, n in n_bearing.items() for _ in range(n)] + ["test"] * n_free
    rows = []
    for i, set_name in enumerate(sets):
        bearing = i < len(sets) - n_free
        n_lesions = int(rng.geometric(0.28)) if bearing else 0
        volume = float(np.round(n_lesions * rng.lognormal(4.2, 0.7), 1))
        rows.append(
            {
                "scan_id": f"sub-{i // 2 if set_name == 'train' else i:03d}_ses-{i % 2 + 1:02d}_acq-sag",
                "subject": f"sub-{i // 2 if set_name == 'train' else i:03d}",
                "session": f"ses-{i % 2 + 1:02d}",
                "site": f"{site} {i % 5 + 1}",
                "set": set_name,
                "n_reference_lesions": n_lesions,
                "reference_volume_mm3": volume,
                "reason": "balanced" if bearing else "lesion-free",
                "manufacturer": ("GE", "Philips", "n/a")[i % 3],
                "scanner": ("GE Signa 3T", "Philips Achieva 1.5T", "n/a")[i % 3],
                "orientation": "axial" if i % 4 == 0 else "sagittal",
                "slice_spacing_mm": (3.3, 2.2, 2.8)[i % 3],
            }
        )
    return pd.DataFrame(rows)


def _sweep(rng, splits: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for scan in splits[splits["set"].isin(["threshold", "test"])].itertuples():
        ease = rng.beta(2.2, 1.6)
        for loss, seed in RUNS:
            quality = np.clip(ease + rng.normal(0, 0.12), 0.02, 0.98)
            rows += [_row(rng, scan, loss, seed, t, quality) for t in THRESHOLDS]
    return pd.DataFrame(rows)


def _row(rng, scan, loss: str, seed: int | None, t: float, quality: float) -> dict[str, object]:
    decay, start = CHARACTER[loss]
    bearing = scan.n_reference_lesions > 0
    sensitivity = 1.0 if t == 0 else float(quality**0.6 * np.exp(-((t / decay) ** 1.4) * (1.3 - quality)))
    precision = 0.002 if t == 0 else float(np.clip(quality * (start + (1 - start) * (1 - np.exp(-t / 0.3))), 0, 1))
    if sensitivity < 0.03:
        sensitivity = precision = 0.0
    f1 = 2 * sensitivity * precision / (sensitivity + precision) if sensitivity else 0.0
    n_reference = scan.n_reference_lesions
    n_detected = int(rng.binomial(n_reference, sensitivity))
    n_predicted = n_detected + int(rng.poisson(2.2 * np.exp(-t / decay)))
    n_true = min(n_predicted, n_detected)
    lesion = (n_detected / n_reference, n_true / n_predicted if n_predicted else 0.0) if bearing else (np.nan, np.nan)
    lesion_f1 = 2 * lesion[0] * lesion[1] / sum(lesion) if sum(lesion) > 0 else (0.0 if bearing else np.nan)
    volume = scan.reference_volume_mm3
    predicted = volume * sensitivity / precision if precision else n_predicted * 30.0
    named = {"scan_id": scan.scan_id, "subject": scan.subject, "session": scan.session, "set": scan.set}
    voxel = (sensitivity, precision, f1) if bearing else (np.nan, np.nan, np.nan)
    counts = (n_reference, n_detected, n_predicted, n_true)
    volumes = (volume, predicted if bearing else n_predicted * 30.0)
    measured = dict(zip(METRIC_COLUMNS, (*voxel, *lesion, lesion_f1, *counts, *volumes), strict=True))
    return named | {"loss": loss, "seed": seed, "threshold": t} | measured


def _thresholds(sweep: pd.DataFrame) -> pd.DataFrame:
    tuning = sweep[sweep["set"] == "threshold"]
    rows = []
    for loss, seed in RUNS:
        curve = tuning[tuning["loss"] == loss].groupby("threshold")["voxel_f1"].median()
        best = float(curve.idxmax())
        plateau = curve[curve >= 0.95 * curve.max()].index
        rows.append(
            {
                "loss": loss,
                "seed": seed,
                "objective": "median_voxel_f1",
                "threshold": best,
                "score": curve.max(),
                "interval_low": max(best - 0.1, 0),
                "interval_high": min(best + 0.15, 1),
                "plateau_low": plateau.min(),
                "plateau_high": plateau.max(),
                "loss_below": curve[best] - curve.get(round(best - 0.05, 2), np.nan),
                "loss_above": curve[best] - curve.get(round(best + 0.05, 2), np.nan),
                "area": np.trapezoid(curve, curve.index),
                "n_scans": tuning["scan_id"].nunique(),
                "n_subjects": tuning["subject"].nunique(),
                "n_lesion_free": 0,
                "basis": f"{tuning['scan_id'].nunique()} scans of {tuning['subject'].nunique()} subjects",
            }
        )
    return pd.DataFrame(rows).astype({"seed": "Int64"})


def _evaluation(sweep: pd.DataFrame, thresholds: pd.DataFrame) -> pd.DataFrame:
    tuned = dict(zip(thresholds["loss"], thresholds["threshold"], strict=True))
    return sweep[(sweep["threshold"] == 0.5) | (sweep["threshold"] == sweep["loss"].map(tuned))].astype(
        {"seed": "Int64"}
    )


def _write_analysis(folder: Path, evaluation: pd.DataFrame, sweep: pd.DataFrame, thresholds: pd.DataFrame) -> None:
    """Write what the stage `analyze` leaves for the trained losses, from a generator of its own."""
    rng = np.random.default_rng(11)
    tuned = dict(zip(thresholds["loss"], thresholds["threshold"], strict=True))
    masks = evaluation[(evaluation["set"] == "test") & (evaluation["threshold"] == evaluation["loss"].map(tuned))]
    masks = masks[masks["loss"] != "sct"].reset_index(drop=True)
    _write(folder / "rules.tsv", pd.concat([_by_rule(rng, masks, rule) for rule in RULES]))
    _write(folder / "strata.tsv", pd.concat(_by_size(rng, masks)))
    _write(folder / "froc.tsv", _froc(sweep[sweep["loss"] != "sct"]))
    bins = pd.concat(
        [_bins(rng, *key) for key in itertools.product(("threshold", "test"), RUNS[:3], ("raw", "scaled"))]
    )
    _write(folder / "reliability.tsv", bins)
    _write(folder / "calibration.tsv", _calibration(rng, bins))


def add_masks(folder: Path) -> None:
    """Add a comparator that comes as masks to a fake study: no map, so no threshold, sweep, FROC and calibration."""
    rng = np.random.default_rng(13)
    sweep, evaluation = (pd.read_csv(folder / f"{name}.tsv", sep="\t") for name in ("sweep", "evaluation"))
    masks = sweep[(sweep["loss"] == "sct") & np.isclose(sweep["threshold"], 0.2)].reset_index(drop=True)
    masks = masks.assign(loss="hard", seed=np.nan, threshold=np.nan)
    tested = masks[masks["set"] == "test"].reset_index(drop=True)
    added = {
        "evaluation": [evaluation, masks],
        "rules": [pd.read_csv(folder / "rules.tsv", sep="\t"), *(_by_rule(rng, tested, rule) for rule in RULES)],
        "strata": [pd.read_csv(folder / "strata.tsv", sep="\t"), *_by_size(rng, tested)],
    }
    for name, tables in added.items():
        _write(folder / f"{name}.tsv", pd.concat(tables).astype({"seed": "Int64"}))


def add_ensemble(folder: Path, name: str = "both", losses: tuple[str, ...] = ("bce", "dice")) -> None:
    """Add an ensemble of two losses to a fake study: rows of its own in every table, maps, and error retention."""
    file = folder / "study.yaml"
    file.write_text(f"{file.read_text()}ensembles:\n  - {{name: {name}, losses: [{', '.join(losses)}]}}\n")
    for table in ("sweep", "evaluation", "thresholds", "rules", "strata", "froc", "calibration", "reliability"):
        rows = pd.read_csv(folder / f"{table}.tsv", sep="\t")
        own = rows[rows["loss"] == losses[-1]].assign(loss=name, seed=np.nan)
        if table in ("sweep", "evaluation"):
            own = own.assign(voxel_f1=(own["voxel_f1"] * 1.05).clip(upper=1))
        if table == "thresholds":
            own = own.assign(score=own["score"] * 1.05)
        _write(folder / f"{table}.tsv", pd.concat([rows, own]).astype({"seed": "Int64"}))
    for path in sorted((folder / "derivatives").rglob(f"*desc-{losses[-1]}seed0_probseg.nii.gz")):
        nib.save(nib.load(path), path.with_name(path.name.replace(f"{losses[-1]}seed0", name)))
    _write_retention(folder, name, losses)


def add_rules(folder: Path, kept: float = 0.3, gains: tuple[float, ...] = (0.08, 0.03, 0.0)) -> None:
    """Add the rule `peak` to a fake study: a share of the false lesions is kept, and each loss gains lesion F1."""
    rng = np.random.default_rng(19)
    evaluation, thresholds = (pd.read_csv(folder / f"{name}.tsv", sep="\t") for name in ("evaluation", "thresholds"))
    tuned = dict(zip(thresholds["loss"], thresholds["threshold"], strict=True))
    rows = evaluation[(evaluation["set"] == "test") & (evaluation["threshold"] == evaluation["loss"].map(tuned))]
    false = rng.binomial(rows["n_predicted_lesions"] - rows["n_true_predicted_lesions"], kept)
    gain = rows["loss"].map(dict(zip(tuned, (*gains, 0.0), strict=True))) * rng.uniform(0.5, 1.5, len(rows))
    measured = rows.assign(
        threshold_rule="peak",
        n_predicted_lesions=rows["n_true_predicted_lesions"] + false,
        lesion_f1=(rows["lesion_f1"] + gain + rng.normal(0, 0.004, len(rows))).clip(0, 1),
        voxel_f1=(rows["voxel_f1"] + rng.normal(0, 0.004, len(rows))).clip(0, 1),
    )
    _write(folder / "threshold_rules.tsv", measured.astype({"seed": "Int64"}))
    named = ["loss", "seed", "objective", "score", "n_scans", "n_subjects", "n_lesion_free"]
    settings = {"threshold": 0.2, "peak": 0.6, "minimum_volume_mm3": 3.0}
    chosen = [
        thresholds[named].assign(
            threshold_rule="peak", setting=name, value=value, interval_low=value / 2, interval_high=1.5 * value,
            n_left_out=0, learned=True,
        )
        for name, value in settings.items()
    ]  # fmt: skip
    _write(folder / "rule_choices.tsv", pd.concat(chosen).astype({"seed": "Int64"}))


ORDERS = {"random": 0.0, "entropy": 0.4, "margin": 0.5, "spread": 0.7, "mutual_information": 0.6, "ideal": 1.0}
"""How near to the ideal order each measure is, of the made-up curves."""


def _write_retention(folder: Path, name: str, losses: tuple[str, ...]) -> None:
    rng = np.random.default_rng(17)
    evaluation = pd.read_csv(folder / "evaluation.tsv", sep="\t")
    tested = evaluation[(evaluation["set"] == "test") & (evaluation["reference_volume_mm3"] > 0)]
    scans = tested.drop_duplicates("scan_id")[["scan_id", "subject", "session", "set"]]
    areas, curves = [], []
    for loss, level in itertools.product((*losses, name), ("voxel", "lesion")):
        seed = pd.NA if loss == name else 0
        single = ("random", "entropy", "margin", "ideal")
        names = [one for one in ORDERS if loss == name or one in single]
        ease = rng.uniform(0, 0.05, len(scans))
        for measure in names if level == "voxel" or loss != name else [*names, "disagreement"]:
            score, quality = 0.6 + 4 * ease, ORDERS.get(measure, 0.8)
            area = score + (0.98 - score) * (0.3 + 0.7 * quality) - ease * (loss != name)
            made = {"loss": loss, "seed": seed, "level": level, "uncertainty": measure}
            areas.append(scans.assign(**made, area=area, score=score))
            retained = np.linspace(0, 1, 21)
            mean = 1 - (1 - score.mean()) * retained ** (1 + 4 * quality)
            curve = pd.DataFrame({"retained": retained, "score": mean, "n_scans": len(scans)})
            curves.append(curve.assign(set="test", **made))
    _write(folder / "uncertainty.tsv", pd.concat(areas).astype({"seed": "Int64"}))
    _write(folder / "retention.tsv", pd.concat(curves).astype({"seed": "Int64"}))


def _by_rule(rng, masks: pd.DataFrame, rule: str) -> pd.DataFrame:
    named = ["scan_id", "subject", "session", "set", "loss", "seed"]
    scores = ["lesion_sensitivity", "lesion_precision", "lesion_f1"]
    factor = rng.uniform(0.5, 1, (len(masks), 1)) if rule != "study" else 1.0
    table = masks[[*named, *scores, *COUNTS, "reference_volume_mm3"]].copy()
    table[scores] = table[scores] * factor
    table.insert(6, "rule", rule)
    return table


def _by_size(rng, masks: pd.DataFrame) -> list[pd.DataFrame]:
    """Deal out the lesions of each scan to three sizes."""
    named = ["scan_id", "subject", "session", "set", "loss", "seed"]
    dealt = {}
    for found, all_of_them in (COUNTS[1::-1], COUNTS[:1:-1]):
        hits = rng.multinomial(masks[found], [0.2, 0.3, 0.5])
        misses = rng.multinomial((masks[all_of_them] - masks[found]).clip(lower=0), [0.6, 0.3, 0.1])
        dealt |= {found: hits, all_of_them: hits + misses}
    sizes = (("small", 0.0, 40.0), ("medium", 40.0, 100.0), ("large", 100.0, np.inf))
    return [
        masks[named].assign(
            stratum=name, low_mm3=low, high_mm3=high, **{column: dealt[column][:, size] for column in COUNTS}
        )
        for size, (name, low, high) in enumerate(sizes)
    ]


def _froc(sweep: pd.DataFrame) -> pd.DataFrame:
    sums = sweep.groupby(["set", "loss", "seed", "threshold"], sort=False)[list(COUNTS)].sum().reset_index()
    n_scans = sums["set"].map(sweep.groupby("set")["scan_id"].nunique())
    return sums[["set", "loss", "seed", "threshold"]].assign(
        sensitivity=sums["n_detected_lesions"] / sums["n_reference_lesions"],
        false_per_scan=(sums["n_predicted_lesions"] - sums["n_true_predicted_lesions"]) / n_scans,
        n_scans=n_scans,
        n_reference_lesions=sums["n_reference_lesions"],
    )


def _bins(rng, set_name: str, run: tuple[str, int], kind: str) -> pd.DataFrame:
    """Count voxels by probability: the lower the loss's decay, the more p understates; one bin is empty."""
    edges = np.linspace(0, 1, 16)
    n = np.round(200_000 * np.exp(-9 * edges[:-1]))
    n[13] = 0
    p = np.where(n > 0, edges[:-1] + 1 / 30, np.nan)
    share = np.clip(p ** CHARACTER[run[0]][0] * rng.uniform(0.6, 0.9), 0, 1) * p
    n_lesion = np.nan_to_num(np.round(share * n))
    return pd.DataFrame(
        {
            "set": set_name,
            "loss": run[0],
            "seed": run[1],
            "map": kind,
            "bin_low": edges[:-1],
            "bin_high": edges[1:],
            "n_voxels": n.astype(int),
            "n_lesion_voxels": n_lesion.astype(int),
            "mean_probability": p,
            "lesion_share": np.divide(n_lesion, n, out=np.full(15, np.nan), where=n > 0),
        }
    )


def _calibration(rng, bins: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for (set_name, loss, seed, kind), one in bins.groupby(["set", "loss", "seed", "map"], sort=False):
        total = (one["mean_probability"] * one["n_voxels"]).sum()
        gap = (one["mean_probability"] * one["n_voxels"] - one["n_lesion_voxels"]).abs().sum() / one["n_voxels"].sum()
        temperature = 1.0 if kind == "raw" else float(rng.uniform(0.6, 1.8))
        counts = (16, one["n_voxels"].sum(), one["n_lesion_voxels"].sum(), total)
        rows.append((set_name, loss, seed, kind, temperature, gap, float(rng.uniform(0.001, 0.01)), *counts))
    names = ("set", "loss", "seed", "map", "temperature", "expected_calibration_error", "brier_score")
    counted = ("n_scans", "n_voxels", "n_lesion_voxels", "sum_probability")
    return pd.DataFrame(rows, columns=[*names, *counted])


def _history(rng, loss: str) -> pd.DataFrame:
    epoch = np.arange(1, 121)
    scale = 0.05 if loss == "bce" else 1.0
    train = scale * (0.25 + 0.75 * np.exp(-epoch / 22)) + rng.normal(0, 0.008 * scale, epoch.size)
    validation = scale * (0.38 + 0.62 * np.exp(-epoch / 20) + 0.0009 * np.maximum(epoch - 60, 0))
    validation = validation + rng.normal(0, 0.02 * scale, epoch.size)
    columns = {"epoch": epoch, "train_loss": train, "validation_loss": validation}
    return pd.DataFrame({**columns, "learning_rate": 1e-4, "seconds": 41.0})


def _write_scan(rng, folder: Path, scan: str, shape: tuple[int, int, int]) -> dict[str, str]:
    """Write a sagittal scan of a cord in its sac with lesions, and a probability map per run."""
    affine = np.array([[-2.2, 0, 0, 10], [0, -1.0, 0, 40], [0, 0, -1.0, 30], [0, 0, 0, 1]])
    x, y, z = (np.arange(n)[:, None, None].swapaxes(0, axis) for axis, n in enumerate(shape))
    depth = (x - shape[0] // 2) * 2.2
    across = y - shape[1] / 2 - 5 * np.sin(z / 25)
    radius = np.hypot(depth, across)
    noise = ndimage.gaussian_filter(rng.normal(size=shape), 0.6)
    image = 300 + 250 * (across < -12) + 900 * (radius < 9) - 550 * (radius < 5) + 160 * noise
    reference = np.zeros(shape, bool)
    for _ in range(3):
        center, offset = rng.integers(10, shape[2] - 10), rng.uniform(-2, 2)
        reference |= (((z - center) / 6) ** 2 + ((across - offset) / 2.5) ** 2 + (depth / 3) ** 2) < 1
    image = image + 380 * ndimage.gaussian_filter(reference.astype(float), 0.6)
    subject, session = scan.split("_")[:2]
    raw = folder / "bids" / subject / session / "anat"
    out = folder / "derivatives" / "cordlesion" / subject / session / "anat"
    paths = {"image": raw / f"{scan}_T2w.nii.gz", "reference": raw / f"{scan}_T2w_label-lesion_seg.nii.gz"}
    _save(paths["image"], image.astype(np.float32), affine)
    _save(paths["reference"], reference.astype(np.uint8), affine)
    soft = ndimage.gaussian_filter(reference.astype(float), 1.0)
    for loss, seed in RUNS:
        run = loss if seed is None else f"{loss}seed{seed}"
        shift = ndimage.shift(soft, (0, rng.uniform(-1, 1), rng.uniform(-2, 2)), order=1)
        probability = np.clip(shift * rng.uniform(0.6, 1.2) + 0.06 * noise * (radius < 5), 0, 1)
        _save(out / f"{scan}_label-lesion_desc-{run}_probseg.nii.gz", probability.astype(np.float32), affine)
    return {key: str(path.relative_to(folder / "bids")) for key, path in paths.items()}


def _save(path: Path, data, affine) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(data, affine), path)
