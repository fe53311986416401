"""The effect of bfloat16 on tuned thresholds and median voxel F1 of the test set of a finished study.

python benchmarks/bench_precision.py STUDY                  its networks as they are, predicting in float32
python benchmarks/bench_precision.py STUDY --trained OTHER  beside a study that was trained in float32, too
"""

import argparse
import shutil
import statistics
import tempfile
from pathlib import Path

import pandas as pd

from cordlesion.config import read_study
from cordlesion.io.tables import read_table
from cordlesion.study.run import run_study

RUN = ["loss", "seed"]


def in_float32(study: Path, folder: Path) -> Path:
    """Predict with the networks of a study in float32, tune and evaluate in a copy of its folder."""
    copy = folder / "float32"
    shutil.copytree(study, copy)
    config = read_study(study / "study.yaml")
    prediction = config.prediction.model_copy(update={"precision": "float32"})
    run_study(config.model_copy(update={"output": copy, "prediction": prediction}), until="evaluate")
    return copy


def scores(study: Path) -> pd.DataFrame:
    """Return the tuned threshold of each run, and the median voxel F1 of the test set there and at 0.5."""
    thresholds = read_table(study / "thresholds.tsv").set_index(RUN)["threshold"]
    rows = read_table(study / "evaluation.tsv")
    medians = rows[rows["set"] == "test"].groupby([*RUN, "threshold"])["voxel_f1"].median()
    found = {run: (t, medians[(*run, 0.5)], medians[(*run, t)]) for run, t in thresholds.items()}
    return pd.DataFrame.from_dict(found, orient="index", columns=["threshold", "at 0.5", "tuned"])


def compare(half: pd.DataFrame, whole: pd.DataFrame) -> None:
    """Print both for each run, and the largest differences compared with those between seeds."""
    both = half.join(whole.add_suffix(" (float32)"), how="inner")
    print(both.to_string(float_format="%.3f"))
    for name in half:
        largest = (both[name] - both[f"{name} (float32)"]).abs().max()
        print(f"{name}: differs by at most {largest:.4f}")
    for name in ("at 0.5", "tuned"):
        by_loss = [group[name] for _, group in half.groupby([loss for loss, _ in half.index]) if len(group) > 1]
        if by_loss:
            between = statistics.mean(scores.max() - scores.min() for scores in by_loss)
            print(f"{name}: the seeds of a loss lie {between:.3f} apart, mean over losses")


def main() -> None:
    """Compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="folder of a finished study that computed in bfloat16")
    parser.add_argument("--trained", type=Path, help="folder of the same study, trained and predicted in float32")
    given = parser.parse_args()
    half = scores(given.study)
    with tempfile.TemporaryDirectory() as folder:
        compare(half, scores(in_float32(given.study, Path(folder))))
    if given.trained:
        compare(half, scores(given.trained))


if __name__ == "__main__":
    main()
