"""The page on maps of other tools, followed word by word on files with nnU-Net's own names."""

import json
import re

import numpy as np
import pytest

from cordlesion.config import study_of_text
from cordlesion.io.tables import read_table
from support.guide import DOCS, Python, Shell, run_blocks
from support.images import write_image
from support.nnunet_files import write_images, write_labels, write_predictions

PAGE = (DOCS / "threshold_for_maps.md").read_text(encoding="utf-8")
OURS = {
    "threshold": ["MS_003_M0", "MS_004_M0", "MS_005_M0", "MS_006_free"],
    "test": [f"MS_0{n}_M0" for n in range(10, 14)],
}
"""Further scans, so that there is something to choose and to compare; one has no lesion."""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folders that the page shows, and the table that it shows with further rows."""
    (shown,) = re.findall(r"```text\n(scan,participant_id,set\n.*?)```", PAGE, re.DOTALL)
    theirs = [line.split(",")[0].replace("*", "M0") for line in shown.splitlines()[1:]]
    more = "".join(f"{case},{case[:6]},{name}\n" for name, cases in OURS.items() for case in cases)
    (tmp_path / "scans.csv").write_text(shown + more)
    cases = [*theirs, *OURS["threshold"], *OURS["test"]]
    write_labels(tmp_path / "labels", cases)
    write_images(tmp_path / "images", cases)
    write_predictions(tmp_path / "predictions", cases)
    for path in re.findall(r"^(?:labels|predictions|images)/\S+?\.(?:nii\.gz|npz|pkl)", PAGE, re.MULTILINE):
        assert (tmp_path / path).is_file(), f"the page shows {path}, which nnU-Net does not leave"
    write_labels(tmp_path / "threshold_set/labels", OURS["threshold"])
    write_predictions(tmp_path / "threshold_set/predictions", OURS["threshold"])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_leads_from_nnunets_files_to_a_tuned_and_evaluated_result(folder, cli):
    commands, said = [], []

    def record(*arguments):
        commands.append(arguments[0])
        said.append(cli(*arguments))
        return said[-1]

    run_blocks("threshold_for_maps", {"bash": Shell(record).run, "python": Python().run, "text": str})
    assert commands[:3] == ["tune", "cut", "evaluate"]
    assert {one.error for one in said} == {""}
    assert "on black" not in "".join(one.output for one in said)  # every picture has its scan
    chosen = json.loads((folder / "thresholds.json").read_text())
    assert sorted(chosen["scans"]) == ["MS_001_M0", "MS_002_M0", *OURS["threshold"]]
    table, half = (read_table(folder / name).set_index("scan_id") for name in ("metrics.tsv", "half.tsv"))
    assert sorted(table.index) == ["MS_007_M0", "MS_007_M12", *OURS["test"]]
    assert table["subject"].nunique() == 5
    assert (table["voxel_f1"] > half["voxel_f1"]).all()
    assert (folder / "masks" / "MS_007_M12.nii.gz").is_file()
    assert json.loads((folder / "thresholds_volume.json").read_text())["postprocess"]["minimum_volume_mm3"] in (0, 3)
    assert json.loads((folder / "thresholds_peak.json").read_text())["threshold_rule"]["peak"] > 0


def test_the_page_on_threshold_rules_runs(folder):
    run_blocks("threshold_rules", {"python": Python().run})
    assert json.loads((folder / "peak.json").read_text())["threshold_rule"]["rule"] == "peak"


def test_the_page_on_further_metrics_runs(folder, cli):
    run_blocks("further_metrics", {"bash": Shell(cli).run, "python": Python().run, "file": read_sections})
    assert json.loads((folder / "summary.json").read_text())["multi_spine"]["score"] > 0


def test_the_page_on_repeatability_runs(tmp_path, monkeypatch, cli):
    monkeypatch.chdir(tmp_path)
    (shown,) = re.findall(r"```text\n(scan\trepeat\tparticipant_id\n.*?)```", page("repeatability"), re.DOTALL)
    (tmp_path / "pairs.tsv").write_text(shown)
    cases = [line.split("\t")[0] for line in shown.splitlines()[1:]]
    rng = np.random.default_rng(0)
    for number, case in enumerate(cases):
        lesion = np.zeros((12, 12, 12), np.uint8)
        lesion[2:6, 2 : 5 + 2 * (number // 2), 2:6] = 1
        write_image(tmp_path / f"threshold_set/labels/{case}.nii.gz", lesion)
        p = (0.6 * lesion + 0.3 * rng.random(lesion.shape)).astype(np.float32)
        write_image(tmp_path / f"threshold_set/maps/{case}.nii.gz", p)
    how = {"bash": Shell(cli).run, "python": Python().run, "text": str, "file": read_sections}
    run_blocks("repeatability", how)
    chosen = json.loads((tmp_path / "thresholds.json").read_text())
    assert (chosen["objective"], chosen["n_groups"]) == ("repeatability:0.3", 2)
    table = read_table(tmp_path / "repeatability.tsv")
    assert table["measure"].tolist() == ["predicted_volume_mm3", "n_predicted_lesions"]
    assert (tmp_path / "repeatability.png").is_file()


def page(name):
    return (DOCS / f"{name}.md").read_text(encoding="utf-8")


def read_sections(name, content):
    assert name == "study.yaml"
    study_of_text(f"name: page\ndataset: .\noutput: study\nlosses: [bce]\n{content}")


def test_python_is_for_the_last_section_only():
    before, _, _ = PAGE.partition("## In Python")
    assert "```python" not in before
    assert before.count("```bash") >= 8


@pytest.mark.parametrize("option", sorted(set(re.findall(r"`(--[a-z-]+)", PAGE))))
def test_every_option_that_the_page_names_exists(option, cli):
    nnunet = {"--save_probabilities", "--npz", "--save"}
    helps = "".join(cli(command, "--help").output for command in ("tune", "cut", "evaluate", "compare"))
    assert option in nnunet or option in helps
