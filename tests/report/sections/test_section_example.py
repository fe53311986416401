import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex

from cordlesion.errors import CordlesionError
from cordlesion.io.volume import read_mask, read_probability
from cordlesion.pictures import slices
from cordlesion.pictures.style import FALSE_NEGATIVE, FALSE_POSITIVE, REFERENCE, TRUE_POSITIVE
from cordlesion.report.sections.example import choose_example, example_figure
from cordlesion.study_folder.results import StudyResults, read_results


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
    titles = [axes.get_title(loc="left").split("\n") for axes in figure.axes]
    names = ["T2w image", "Reference", *(f"{results.label(r)}, t = {results.tuned[r]:.2f}" for r in example.runs)]
    assert [title[0] for title in titles] == [f"({letter}) {name}" for letter, name in zip("abcd", names, strict=True)]
    masks = [
        read_probability(results.folder.probability(example.scan_id, run.name)).data >= np.float32(results.tuned[run])
        for run in example.runs
    ]
    # The fake scans' first axis is left-right.
    x = slices.comparing_index(reference.data.astype(bool), masks)
    truth = reference.data[x]
    for axes, mask, dice, title in zip(figure.axes[2:], masks, example.dice, titles[2:], strict=True):
        counts = {
            TRUE_POSITIVE: (mask[x] & truth).sum(),
            FALSE_NEGATIVE: (~mask[x] & truth).sum(),
            FALSE_POSITIVE: (mask[x] & ~truth).sum(),
        }
        in_slice = 2 * counts[TRUE_POSITIVE] / (mask[x].sum() + truth.sum())
        assert title[1] == f"overlap {dice:.2f} (slice {in_slice:.2f})"
        drawn = {}
        for image in axes.images[1:]:
            rgba = np.asarray(image.get_array())
            drawn[to_hex(rgba[rgba[..., 3] > 0][0, :3]).upper()] = np.count_nonzero(rgba[..., 3])
        for color in (TRUE_POSITIVE, FALSE_NEGATIVE):
            assert drawn.get(color, 0) == counts[color]
        beyond = counts[FALSE_POSITIVE] - drawn.get(FALSE_POSITIVE, 0)
        assert title[2:] == ([f"{beyond} marked voxels not shown"] if beyond else [])
    assert len(figure.axes[0].images) == 1
    assert not figure.axes[0].collections
    outline = figure.axes[1].collections[0]
    assert to_hex(outline.get_colors()[0]) == REFERENCE.lower()


def test_all_panels_have_the_same_shades(results: StudyResults) -> None:
    limits = {axes.images[0].get_clim() for axes in example_figure(results).axes}
    assert len(limits) == 1


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
