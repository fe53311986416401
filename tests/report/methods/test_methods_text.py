import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from cordlesion.losses import LOSSES
from cordlesion.report.methods import write_methods
from cordlesion.report.methods.references import read_references
from cordlesion.study_folder.results import StudyResults, read_results
from support.fake_study import add_rules


def changed(results: StudyResults, **sections: object) -> StudyResults:
    """The study with another configuration."""
    config = type(results.config).model_validate(results.config.model_dump() | sections)
    other = replace(results)
    vars(other)["config"] = config
    return other


def test_the_default_study_is_told(results: StudyResults) -> None:
    text = write_methods(results).text
    for said in (
        "we compared 3 loss functions for the segmentation of lesions of the spinal cord",
        "33 scans of",
        "62 : 13 : 14 : 26",
        "0.5 mm isotropic",
        "48 × 48 × 48 voxels (overlap 75 %)",
        "16, 32, 64 filters",
        "Adam",
        "There were 120 epochs",
        "Tversky (α = 0.7 on false negatives, 0.3 on false positives) [",
        "Dice (sums of squares in the denominator) [",
        "Overlaps were of sums over the whole batch; 1 was added to both sides of the ratio.",
        "Images were reoriented to left-anterior-superior, resampled to",
        "Of 21 thresholds from 0 to 1, the one with the highest median voxel F1",
        "As further operating points (at most 20 % of lesions are missed; at most 1 false positive per scan) the best",
        "Nothing was removed from the masks.",
        "cordlesion 0.1.0 on Python 3.11.9",
    ):
        assert said in text
    assert "simulated" not in text
    assert "**Comparators.**" not in text


def test_a_choice_by_repeatability_is_told(results: StudyResults) -> None:
    chosen = replace(results, thresholds=results.thresholds.assign(objective="repeatability:0.3"))
    methods = write_methods(chosen)
    assert (
        "the middle of those with an intraclass correlation ICC(1,1) within 0.02 of the highest (of the lesion volume, "
        "between scans of a subject without a change), among those with a mean voxel F1 of at least 0.3, over the "
        "threshold set was taken for every"
    ) in methods.text
    assert "Shrout" in methods.text
    # A score with a condition is not corrected.
    assert "Its score was corrected for the choice" in write_methods(results).text
    assert "Its score was corrected for the choice" not in methods.text


def test_further_threshold_rules_are_told(results: StudyResults, study_copy: Path) -> None:
    assert "further threshold rule" not in write_methods(results).text
    add_rules(study_copy)
    told = write_methods(read_results(study_copy)).text
    assert "The further threshold rule peak of cordlesion was chosen on the same scans for the same objective" in told


def test_rules_of_users_are_not_those_of_the_program(study_copy: Path) -> None:
    add_rules(study_copy)
    read = read_results(study_copy)

    def told(*names: str) -> str:
        rows = pd.concat([read.rule_choices.assign(threshold_rule=name) for name in names])
        return write_methods(replace(read, rule_choices=rows)).text

    own = told("my_rules:X")
    assert "The further threshold rule my_rules:X, of our own, was fitted on the same scans. The masks were" in own
    assert "of cordlesion was chosen" not in own
    mixed = told("peak", "my_rules:X", "rank_dice", "my_rules:Y")
    assert "The further threshold rules peak and rank_dice of cordlesion were chosen on the same scans" in mixed
    assert "The further threshold rules my_rules:X and my_rules:Y, of our own, were fitted on the same scans." in mixed
    assert mixed.count("The masks were compared") == 1


def test_references_are_numbered_as_they_are_cited(results: StudyResults) -> None:
    methods = write_methods(results)
    body, listed = methods.text.split("## References")
    numbers = [int(n) for group in re.findall(r"\[([\d, ]+)\]", body) for n in group.split(", ")]
    first = list(dict.fromkeys(numbers))
    assert first == sorted(first) == list(range(1, len(methods.cited) + 1))
    assert re.findall(r"(?m)^(\d+)\. ", listed) == [str(n) for n in first]
    assert next(iter(methods.cited)) == "hussein2023"
    assert methods.bibtex.count("@misc{") == len(methods.cited)
    assert methods.bibtex.count("{") == methods.bibtex.count("}")


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"seeds": (0, 1, 2)}, "each trained with 3 random seeds"),
        ({"split": {"folds": 4}}, "In a cross-validation with 4 folds"),
        ({"split": {"lesion_free": "stratified"}}, "shared out in the same proportions"),
        ({"preprocess": {"region": "foreground"}}, "brighter than the background"),
        ({"preprocess": {"centerline": "sct"}}, "found by the Spinal Cord Toolbox ["),
        ({"preprocess": {"centerline": Path("t2_ctr.h5")}}, "found by the centerline network of the Spinal Cord"),
        ({"network": {"prior": 0.02}}, "starts at a lesion probability of 0.02 ["),
        (
            {"training": {"start_from": "packaged"}},
            "The first weights were those of the model in the package",
        ),
        ({"training": {"average": 0.998}}, "an exponential average, of which each step kept a share of 0.998."),
        ({"training": {"schedule": "cosine"}}, "fell to 0 along a cosine ["),
        ({"training": {"early_stopping_epochs": 9}}, "after 9 epochs without a lower validation loss, at most 300"),
        ({"prediction": {"blending": "hann", "mirror": True}}, "Hann window ["),
        ({"postprocess": {"cord_margin_mm": 2.0, "minimum_volume_mm3": 5.0}}, "up to 5 mm³ were removed ["),
        ({"threshold": {"minimum_volumes_mm3": (0, 3)}}, "chosen together with the threshold among 0 and 3 mm³"),
        ({"threshold": {"grid": "fine"}}, "Of 24 thresholds"),
        ({"evaluation": {"rule": "ivadomed"}}, "rule “ivadomed”, that of ivadomed’s evaluation ["),
        ({"comparators": ({"name": "theirs", "maps": "maps"},)}, "theirs (probability maps, whose threshold"),
        ({"comparators": ({"name": "hard", "masks": "m"},)}, "together with 1 other method"),
        ({"losses": ({"name": "combo", "optimizer": "adadelta", "learning_rate": 1.0},)}, "(Combo: Adadelta ["),
        ({"losses": ("combo",)}, "(Combo: Adadelta ["),
        ({"losses": ("focal_tversky",)}, "(α = 0.7 on false negatives, 0.3 on false positives, γ = 0.75)"),
        ({"losses": ("generalized_dice", "dice")}, "the ratio, but not in Generalized Dice."),
        (
            {"losses": ({"name": "dice", "parameters": {"per_patch": True}},)},
            "the whole batch (of Dice: over each patch)",
        ),
        ({"training": {"epsilon": 1e-7}}, "at a rate of 0.0001, ε = 1e-07"),
        (
            {"network": {"initialization": "glorot", "normalization_epsilon": 1e-3}},
            "Glorot and Bengio, biases 0 and 0.001",
        ),
        ({"losses": ({"name": "monai:DiceFocalLoss", "label": "mine"},)}, "The loss function was mine ["),
        ({"reduced": {"scans": 9}}, "This is a reduced run: at most 9 scans."),
    ],
)
def test_what_the_configuration_changes_is_told(results: StudyResults, sections: dict[str, object], said: str) -> None:
    assert said not in write_methods(results).text
    assert said in write_methods(changed(results, **sections)).text


def test_every_source_of_a_loss_is_a_reference() -> None:
    assert {key for row in LOSSES.values() for key in row.references} <= set(read_references())


def test_every_reference_is_complete() -> None:
    for key, reference in read_references().items():
        assert key.endswith(str(reference.year))
        assert reference.text.endswith(f"{reference.year}.")
        assert ".." not in reference.text


def test_excluded_scans_are_told(study_copy: Path) -> None:
    path = study_copy / "manifest.json"
    path.write_text(path.read_text().replace('"excluded": {}', '"excluded": {"sub-9": "no cord"}'))
    assert "1 further scan was left out." in write_methods(read_results(study_copy)).text


def test_scans_in_which_the_cord_was_lost_are_told(study_copy: Path) -> None:
    path = study_copy / "manifest.json"
    path.write_text(path.read_text().replace('"partial": {}', '"partial": {"sub-9": "lost", "sub-8": "lost"}'))
    assert (
        "In 2 scans the cord was lost at an end and searched in part; lesions"
        in write_methods(read_results(study_copy)).text
    )


def test_first_weights_of_a_model_have_no_bias_of_their_own(results: StudyResults) -> None:
    other = changed(results, network={"prior": 0.02}, training={"start_from": Path("study/runs/dice_seed-0/bundle")})
    text = write_methods(other).text
    assert "starts at a lesion probability" not in text
    assert "The first weights were those of another trained model." in text
