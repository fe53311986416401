import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex

from cordlesion.errors import CordlesionError
from cordlesion.report.example import choose_example, example_figure
from cordlesion.report.results import StudyResults, read_results
from cordlesion.report.style import FALSE_NEGATIVE, FALSE_POSITIVE, REFERENCE, TRUE_POSITIVE
from cordlesion.volume import read_mask, read_probability


def test_the_scan_is_the_one_nearest_to_the_median(results: StudyResults) -> None:
    example = choose_example(results)
    table = results.evaluation
    rows = table[(table["loss"] == results.best.loss) & (table["set"] == "test")]
    rows = rows[(rows["threshold"] == results.tuned[results.best]) & (rows["n_reference_lesions"] > 0)]
    distance = (rows["voxel_f1"] - rows["voxel_f1"].median()).abs()
    assert distance[rows["scan_id"] == example.scan_id].iloc[0] == distance.min()
    for run, dice in zip(example.runs, example.dice, strict=True):
        chosen = table[(table["scan_id"] == example.scan_id) & (table["loss"] == run.loss)]
        assert dice == chosen[chosen["threshold"] == results.tuned[run]]["voxel_f1"].iloc[0]


def test_the_best_run_is_beside_the_dice_loss(results: StudyResults) -> None:
    first, second = choose_example(results).runs
    assert first == results.best
    assert second.loss == "dice"


def test_where_dice_is_the_best_it_is_beside_the_second(study_copy: Path) -> None:
    path = study_copy / "thresholds.tsv"
    lines = path.read_text().splitlines()
    score = lines[0].split("\t").index("score")
    dice = next(i for i, line in enumerate(lines) if line.startswith("dice"))
    cells = lines[dice].split("\t")
    cells[score] = "0.99"
    lines[dice] = "\t".join(cells)
    path.write_text("\n".join(lines) + "\n")
    results = read_results(study_copy)
    assert [run.loss for run in choose_example(results).runs] == [run.loss for run in results.ranked[:2]]
    assert results.best.loss == "dice"


def test_pixels_are_coloured_by_agreement(results: StudyResults) -> None:
    example = choose_example(results)
    files = results.manifest["scans"][example.scan_id]
    reference = read_mask(results.folder.root / files["reference"])
    figure = example_figure(results)
    assert [axes.get_title(loc="left").split("\n")[0] for axes in figure.axes[1:]] == [
        f"{results.label(run)}, t = {results.tuned[run]:.2f}" for run in example.runs
    ]
    assert f"{example.dice[0]:.2f}" in figure.axes[1].get_title(loc="left")
    # The slice with most of the reference; the fake scans' first axis is left-right.
    x = int(reference.data.sum(axis=(1, 2)).argmax())
    for axes, run in zip(figure.axes[1:], example.runs, strict=True):
        p = read_probability(results.folder.probability(example.scan_id, run.name))
        mask = p.data[x] >= np.float32(results.tuned[run])
        truth = reference.data[x]
        counts = {
            TRUE_POSITIVE: (mask & truth).sum(),
            FALSE_NEGATIVE: (~mask & truth).sum(),
            FALSE_POSITIVE: (mask & ~truth).sum(),
        }
        drawn = {}
        for image in axes.images[1:]:
            rgba = np.asarray(image.get_array())
            drawn[to_hex(rgba[rgba[..., 3] > 0][0, :3]).upper()] = np.count_nonzero(rgba[..., 3])
        # False positives far from the reference may lie outside the frame.
        for color in (TRUE_POSITIVE, FALSE_NEGATIVE):
            assert drawn.get(color, 0) == counts[color]
        assert drawn.get(FALSE_POSITIVE, 0) <= counts[FALSE_POSITIVE]
    outline = figure.axes[0].collections[0]
    assert to_hex(outline.get_colors()[0]) == REFERENCE.lower()


def test_a_missing_probability_map_names_the_stage(study_copy: Path) -> None:
    results = read_results(study_copy)
    example = choose_example(results)
    results.folder.probability(example.scan_id, results.best.name).unlink()
    with pytest.raises(CordlesionError, match=r"no such probability map.*stage `evaluate`"):
        example_figure(results)


def test_a_scan_that_the_manifest_does_not_know(study_copy: Path) -> None:
    manifest = json.loads((study_copy / "manifest.json").read_text())
    (study_copy / "manifest.json").write_text(json.dumps({**manifest, "scans": {}}))
    with pytest.raises(CordlesionError, match=r"manifest.json: does not say where"):
        example_figure(read_results(study_copy))
