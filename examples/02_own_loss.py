"""Compare a loss of your own with the Tversky loss in a small study, on your scans or on simulated ones.

python examples/02_own_loss.py [BIDS folder]          (a few minutes on two processor cores)

So few epochs show that a loss works, not how good it is: for that, give the study the size of studies/isbi2023.yaml.
"""

import sys
from pathlib import Path

import torch
from torch import Tensor

import cordlesion
from cordlesion.config import LossConfig, NetworkConfig, PatchConfig, StudyConfig, TrainingConfig

OUTPUT = Path("demo/own_loss")


# --8<-- [start:loss]
@cordlesion.in_float32
def top_k_entropy(logits: Tensor, lesion: Tensor, *, share: float = 0.05) -> Tensor:
    """Cross-entropy of the hardest voxels only, so that the many easy background voxels do not drown the lesions.

    Args:
        logits: Network output before the sigmoid, shape (B, 1, X, Y, Z).
        lesion: Reference, 0 or 1, same shape.
        share: Share of the voxels that counts.

    Returns:
        Scalar, 0 is best.
    """
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, lesion, reduction="none").flatten()
    return entropy.topk(max(1, round(share * len(entropy)))).values.mean()


# --8<-- [end:loss]


# --8<-- [start:study]
def make_study(dataset: Path, output: Path, epochs: int) -> StudyConfig:
    """Describe a study that is small enough to try a loss: a slim network, few patches, few epochs."""
    return StudyConfig(
        name="own_loss",
        dataset=dataset,
        output=output,
        patches=PatchConfig(overlap_fraction=0.25),
        network=NetworkConfig(filters=(8, 16)),
        training=TrainingConfig(epochs=epochs, learning_rate=3e-3),
        losses=(LossConfig(name="tversky"), LossConfig(name="top_k_entropy", parameters={"share": 0.02})),
    )


# --8<-- [end:study]
def main(dataset: Path | None = None, output: Path = OUTPUT, epochs: int = 5) -> None:
    """Register the loss, run the study up to the evaluation, print both losses' scores on the test set."""
    # A row for this process; to keep a loss, move it to src/cordlesion/losses and its row with it.
    cordlesion.LOSSES["top_k_entropy"] = top_k_entropy
    if dataset is None:
        dataset = output / "cohort"
        cordlesion.simulate_cohort(dataset, scans=20, seed=1)
    study = make_study(dataset, output / "study", epochs)
    cordlesion.run_study(study, until="evaluate")
    tuned = cordlesion.read_table(study.output / "thresholds.tsv").set_index("loss")["threshold"]
    rows = cordlesion.read_table(study.output / "evaluation.tsv")
    rows = rows[(rows["set"] == "test") & (rows["threshold"] == rows["loss"].map(tuned))]
    print(rows.groupby("loss")[["threshold", "voxel_f1", "lesion_f1"]].median())


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
