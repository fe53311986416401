"""The explorer's slider: one step on a scan of realistic size, seen as its cord stack, in Debian's chromium.

python benchmarks/bench_explorer.py [steps]
"""

import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from _rows import Figure, Row, run
from _targets import SLIDER

from cordlesion.config import NetworkConfig, PatchConfig, PreprocessConfig, SplitConfig, StudyConfig, TrainingConfig
from cordlesion.dataset.simulate import simulate_cohort
from cordlesion.explorer.export import export_explorer
from cordlesion.study import run_study

SCANS = 8
# Software rendering, and nothing that chromium asks of other machines by itself.
FLAGS = (
    *("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
STEP = """
level => new Promise(resolve => {
  const slider = document.querySelector('[data-side="a"] input[type="range"]');
  const canvases = [...document.querySelectorAll("canvas")].map(c => c.getContext("webgl2")).filter(Boolean);
  let before;
  requestAnimationFrame(() => {
    // What the page asks for now is done later in this frame's successor, between our two callbacks.
    requestAnimationFrame(() => { before = performance.now(); });
    const asked = performance.now();
    slider.value = level;
    slider.dispatchEvent(new Event("input", {bubbles: true}));
    const heard = performance.now() - asked;
    requestAnimationFrame(() => {
      const script = heard + performance.now() - before;
      for (const gl of canvases) gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4)); // waits
      requestAnimationFrame(() => resolve([script, heard + performance.now() - before]));
    });
  });
})
"""
"""Move the slider; resolves to the milliseconds of the script, and of the step until the next frame can begin."""


def make_explorer(folder: Path) -> Path:
    """Export the explorer of a small study of simulated scans with one short training; returns its page."""
    simulate_cohort(folder / "cohort", scans=SCANS)
    study = StudyConfig(
        name="slider",
        dataset=folder / "cohort",
        output=folder / "study",
        split=SplitConfig(proportions={"train": 1, "validation": 1, "threshold": 1, "test": 1}),
        preprocess=PreprocessConfig(),
        patches=PatchConfig(overlap_fraction=0),
        network=NetworkConfig(filters=(4, 8)),
        training=TrainingConfig(epochs=1, batch_size=8),
        losses=("bce", "dice"),
    )
    run_study(study, until="analyze")
    return export_explorer(folder / "study")


def steps(page: Path, count: int) -> Iterator[tuple[float, float]]:
    """Move the slider up and down the whole range in the view of the cord stack."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        opened = browser.new_page(viewport={"width": 1440, "height": 900})
        opened.set_default_timeout(120_000)
        opened.goto(f"{page.as_uri()}#view=stack")
        opened.locator("body[data-ready]").wait_for()
        opened.wait_for_timeout(2000)  # shaders are compiled
        highest = int(opened.locator('[data-side="a"] input[type="range"]').get_attribute("max") or 100)
        for step in range(count + 5):
            script, whole = opened.evaluate(STEP, (step * 37) % highest)
            if step >= 5:
                yield script, whole
        browser.close()


def measure(count: int) -> list[Row]:
    """Take the medians of the script and of the whole step."""
    if not shutil.which("chromium"):
        sys.exit("chromium: not found, so that the explorer was not measured. Install it.")
    with tempfile.TemporaryDirectory() as folder:
        page = make_explorer(Path(folder))
        script, whole = zip(*steps(page, count), strict=True)
    ours = Figure("script, drawing, until the next frame", statistics.median(whole))
    others = (Figure("its script alone", statistics.median(script)),)
    note = f"A simulated scan as its cord stack, two pictures, {count} steps; pictures drawn by the processor."
    return [Row(SLIDER, ours, (), None, others, note)]


if __name__ == "__main__":
    run(measure, 50, __doc__)
