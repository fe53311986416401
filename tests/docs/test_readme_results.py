"""The results in the README are those of the tables that are kept of its two studies."""

import re
from pathlib import Path

import pandas as pd
import pytest

REPOSITORY = Path(__file__).parents[2]
TABLES = REPOSITORY / "docs" / "example_report" / "tables"
README = re.sub(r"\s+", " ", (REPOSITORY / "README.md").read_text(encoding="utf-8"))
TITLES = {"bce": "BCE", "dice": "Dice", "tversky": "Tversky"}


def table(study: str, name: str) -> pd.DataFrame:
    return pd.read_csv(TABLES / study / f"{name}.tsv.gz", sep="\t")


def rows_at(study: str, loss: str, part: str, t: float) -> pd.DataFrame:
    rows = table(study, "evaluation")
    return rows[(rows["loss"] == loss) & (rows["set"] == part) & (rows["threshold"] == t)]


def tuned_t(loss: str) -> float:
    return float(table("demo", "thresholds").set_index("loss").at[loss, "threshold"])


def example_scores(loss: str) -> pd.DataFrame:
    """Return a row per training of a loss in the example study: tuned t, and its mean voxel F1 on the test set."""
    tuned, rows = (table("seven_losses", name) for name in ("thresholds", "evaluation"))
    tuned = tuned[tuned["loss"] == loss]
    rows = rows[(rows["loss"] == loss) & (rows["set"] == "test") & (rows["n_reference_lesions"] > 0)]
    joined = rows.merge(tuned[["seed", "threshold"]], on=["seed", "threshold"])
    return joined.groupby(["seed", "threshold"], dropna=False)["voxel_f1"].mean().reset_index()


def mean_f1(loss: str, part: str, t: float) -> str:
    rows = rows_at("demo", loss, part, t)
    return f"{rows.loc[rows['n_reference_lesions'] > 0, 'voxel_f1'].mean():.2f}"


@pytest.mark.parametrize("loss", TITLES)
def test_the_table_of_the_demo(loss: str) -> None:
    tuned = tuned_t(loss)
    scores = [mean_f1(loss, part, t) for part in ("threshold", "test") for t in (0.5, tuned)]
    seeds = example_scores(loss)
    ranges = [f"{seeds[name].min():.2f} to {seeds[name].max():.2f}" for name in ("threshold", "voxel_f1")]
    assert f"| {' | '.join([TITLES[loss], f'{tuned:.2f}', *scores, *ranges])} |" in README


def test_the_scans_of_the_demo() -> None:
    n_scans, n_subjects = {}, {}
    for part in ("threshold", "test"):
        rows = rows_at("demo", "bce", part, 0.5).query("n_reference_lesions > 0")
        n_scans[part], n_subjects[part] = len(rows), rows["subject"].nunique()
    threshold = (
        f"{n_scans['threshold']} scans with lesions (of {n_subjects['threshold']} subjects) in the threshold set"
    )
    assert f"{threshold} and {n_scans['test']} (of {n_subjects['test']}) in the test set" in README


def test_the_gain_and_the_price_of_tuning_in_the_demo() -> None:
    row = table("demo", "summary_tuning").set_index(["loss", "metric"]).loc[("bce", "voxel_f1")]
    gain = f"{row['difference']:.2f}, 95 % interval {row['low']:.2f} to {row['high']:.2f}"
    assert f"(median gain within test scans {gain})" in README
    false = [
        (rows["n_predicted_lesions"] - rows["n_true_predicted_lesions"]).mean()
        for rows in (rows_at("demo", "bce", "test", t) for t in (tuned_t("bce"), 0.5))
    ]
    assert f"marks {false[0]:.1f} false positive lesions per scan instead of {false[1]:.1f}" in README


def test_the_answers_of_the_example() -> None:
    statements = table("seven_losses", "statements").drop_duplicates("Statement")["Verdict"].value_counts()
    assert statements.to_dict() == {"confirmed": 5, "contradicted": 1}
    assert "Of the paper's six statements 5 are confirmed there and 1 is contradicted" in README
    thresholds = table("seven_losses", "thresholds")
    assert (thresholds.query("loss == 'generalized_dice'")["threshold"] < 0.5).all()
    row = table("seven_losses", "summary_tuning").set_index(["loss", "metric"]).loc[("bce", "voxel_f1")]
    gain = f"{row['difference']:.2f}, 95 % interval {row['low']:.2f} to {row['high']:.2f}"
    assert f"cross-entropy (median gain in voxel F1 {gain})" in README


def test_the_ensembles_of_the_example() -> None:
    losses = [name for name in table("seven_losses", "thresholds")["loss"].unique() if name.endswith("_ensemble")]
    single = {name: example_scores(name.removesuffix("_ensemble"))["voxel_f1"] for name in losses}
    joined = {name: float(example_scores(name)["voxel_f1"].iloc[0]) for name in losses}
    assert len(losses) == 7
    assert all(joined[name] > single[name].mean() for name in losses)
    pairs = table("seven_losses", "pairs").query("Metric == 'V-F1'")
    own = pairs[pairs["Loss"] == pairs["Against"] + " ensemble"]
    assert len(own) == 7
    assert not own["Verdict"].isin(["better", "worse"]).any()
    assert "scores higher than its single networks, not beyond seed noise" in README
    means = [values.mean() for values in single.values()]
    assert f"{min(joined.values()):.2f} to {max(joined.values()):.2f} on the test set" in README
    assert f"the mean over single networks is {min(means):.2f} to {max(means):.2f}" in README


def test_no_loss_of_the_example_beats_another() -> None:
    pairs = table("seven_losses", "pairs")
    losses = {"BCE", "Combo", "Dice", "Focal Tversky", "Generalized Dice", "Log-Cosh Dice", "Tversky"}
    between = pairs[pairs["Loss"].isin(losses) & pairs["Against"].isin(losses) & (pairs["Metric"] == "V-F1")]
    assert len(between) == 21
    assert not between["Verdict"].isin(["better", "worse"]).any()
    assert "No loss is shown to beat another." in README
