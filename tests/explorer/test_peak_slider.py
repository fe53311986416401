"""The second slider of models with the rule `peak`: metrics, colours, keys, link, speed, and no serious violation."""

import re

import numpy as np
import pytest
from opened_page import METRICS, serious_faults

from cordlesion.config import PostprocessConfig
from cordlesion.explorer.catalog import PEAKS_SHOWN
from cordlesion.io.tables import read_table
from cordlesion.io.volume import read_mask, read_probability
from cordlesion.metrics import RULES, evaluate
from cordlesion.threshold.components import PeakThreshold
from cordlesion.threshold.postprocess import make_mask

TUNED = {"objective": "mean_voxel_f1", "interval": None}
MODEL = "soft-peak"
STEP_MS = 50
N_PAINTED = """async ([scan, model, t, peak]) => {
  const { scans, models, thresholds, connectivity } = await cordlesion.load("study");
  const number = (list, name) => list.findIndex((one) => one.name === name);
  const key = cordlesion.scanKey(number(scans, scan));
  const { levels, highest } = await cordlesion.loadModel(key, number(models, model));
  const kept = cordlesion.keepPeaks(levels, highest, thresholds.indexOf(t), thresholds.indexOf(peak), connectivity);
  return kept.values.filter((level) => level >= kept.t).length;
}"""
"""How many voxels of a scan the page paints as lesion."""


@pytest.fixture
def with_peak(opened):
    opened.follow(f"sort=errors&a={MODEL}&b=soft&sort=errors")
    return opened


def sliders(opened, side="a"):
    return opened.page.locator(f'[data-side="{side}"] .sliders input')


def move(opened, t, peak):
    """Move both sliders; thresholds are hundredths, with 0.225 among them."""
    level = round(100 * t)
    opened.after(lambda: sliders(opened).nth(0).fill("0"))
    opened.after(lambda: sliders(opened).nth(1).fill("0" if peak else "1"))
    opened.after(lambda: sliders(opened).nth(0).fill(str(level + (level > 22))))
    opened.after(lambda: sliders(opened).nth(1).fill(str(PEAKS_SHOWN.index(peak))))


@pytest.fixture(scope="module")
def by_rule(study):
    """Return a function for the mask of a scan at a cut, from the map on disk."""
    choices = read_table(study / "rule_choices.tsv")
    volume = choices[(choices["loss"] == "soft") & (choices["setting"] == "minimum_volume_mm3")]["value"].iloc[0]
    labels = study.parent / "cohort/derivatives/labels"

    def make(scan, t, peak):
        reference = read_mask(next(labels.rglob(f"{scan}_label-lesion_seg.nii.gz")))
        probability = read_probability(
            next((study / "derivatives").rglob(f"{scan}_label-lesion_desc-soft_probseg.nii.gz")), like=reference
        )
        rule = PeakThreshold(value=t, peak=peak, minimum_volume_mm3=volume, **TUNED)
        mask, _ = make_mask(probability, rule, PostprocessConfig(minimum_volume_mm3=4), None)
        return reference, mask

    return make


def test_metrics_and_overlay_are_those_of_the_rule(with_peak, by_rule):
    scan = with_peak.link()["scan"]
    changed = set()
    for t, peak in ((0.1, 0.0), (0.1, 0.3), (0.2, 0.5), (0.3, 0.7), (0.2, 1.0)):
        move(with_peak, t, peak)
        reference, mask = by_rule(scan, t, peak)
        expected = evaluate(reference.data, mask, reference.spacing_mm, RULES["study"])
        shown = with_peak.shown("a")
        for name in METRICS:
            value = getattr(expected, name)
            assert shown[name] == (None if np.isnan(value) else pytest.approx(value))
        text = with_peak.text("a", "output").removesuffix("← →").strip()
        assert text == f"t = {t:.2f}, peak {peak:.2f}"
        volume = f"{mask.sum() * np.prod(reference.spacing_mm):.0f} mm³"
        assert with_peak.text("a", ".counts.voxels").startswith(volume)
        assert with_peak.page.evaluate(N_PAINTED, [scan, MODEL, t, max(t, peak)]) == mask.sum()
        changed.add(int(mask.sum()))
    assert len(changed) > 2


def test_models_without_the_rule_have_one_slider(with_peak):
    assert sliders(with_peak, "a").count() == 2
    assert sliders(with_peak, "b").count() == 1


def test_keys_and_link(with_peak):
    page = with_peak.page
    before = float(with_peak.link()["peaka"])
    with_peak.after(lambda: page.keyboard.press("e"))
    assert float(with_peak.link()["peaka"]) == pytest.approx(before + 0.05)
    with_peak.after(lambda: page.keyboard.press("d"))
    sliders(with_peak).nth(1).focus()
    with_peak.after(lambda: page.keyboard.press("ArrowRight"))
    link = with_peak.link()
    assert float(link["peaka"]) == pytest.approx(before + 0.05)
    assert "peakb" not in link
    said = sliders(with_peak).nth(1).get_attribute("aria-valuetext")
    assert re.match(rf"t = [\d.]+, peak {before + 0.05:.2f}, \d+ of \d+ lesions of the set found", said)
    address = with_peak.address()
    with_peak.follow("sort=errors&a=soft&b=hard")
    with_peak.follow(address.partition("#")[2])
    assert with_peak.link()["peaka"] == link["peaka"]
    assert with_peak.text("a", "output").startswith(f"t = {float(link['ta']):.2f}, peak {before + 0.05:.2f}")


def test_an_older_link_to_another_model_is_followed(opened):
    opened.follow("sort=errors&a=soft&b=hard&ta=0.4")
    assert opened.text("a", "output").startswith("t = 0.40")


def test_a_step_takes_less_than_fifty_milliseconds(with_peak):
    move(with_peak, 0.1, 0.5)
    times = with_peak.page.evaluate(
        """async () => {
          const input = document.querySelectorAll('[data-side=a] .sliders input')[1];
          const times = [];
          for (const value of [3, 9, 15, 6, 12, 18]) {
            input.value = value;
            const start = performance.now();
            input.dispatchEvent(new Event("input"));
            await new Promise((done) => requestAnimationFrame(done));
            times.push(performance.now() - start);
          }
          return times.sort((a, b) => a - b);
        }"""
    )
    assert times[0] < STEP_MS


def test_no_serious_violation(with_peak):
    assert serious_faults(with_peak.page) == []
