"""The slider of the explorer: one step on a scan of realistic size, in the view of the cord stack, in Chromium.

python benchmarks/bench_explorer.py [steps]
"""

import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from _rows import Figure, Row, run
from _targets import SLIDER

from cordlesion.config import NetworkConfig, PatchConfig, PreprocessConfig, SplitConfig, StudyConfig, TrainingConfig
from cordlesion.explorer.export import export_explorer
from cordlesion.simulate import simulate_cohort
from cordlesion.study.run import run_study

SCANS = 8
# WebGL on the processor, and no requests of Chromium to other machines. Pages are not drawn by the emulated graphics
# card, which takes 70 ms for a single changed letter.
FLAGS = (
    *("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-gpu-rasterization"),
    *("--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
STEPS = """
count => new Promise(resolve => {
  const slider = document.querySelector('[data-side="a"] input[type="range"]');
  const steps = [];
  let last;
  const frame = () => {
    const now = performance.now();
    if (last !== undefined) steps.push(now - last);
    last = now;
    if (steps.length === count) return resolve(steps);
    slider.value = (37 * steps.length) % slider.max;
    slider.dispatchEvent(new Event("input", {bubbles: true}));
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
})
"""
"""Move the slider in every animation frame; resolves to the milliseconds between frames."""


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


def frames(page: Path, count: int) -> tuple[list[float], list[float]]:
    """Move the slider over the whole range in the view of the cord stack, then wait without changes.

    Returns:
        Milliseconds from frame to frame while it moves, and while nothing does.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        opened = browser.new_page(viewport={"width": 1440, "height": 900})
        opened.set_default_timeout(120_000)
        opened.goto(f"{page.as_uri()}#view=stack")
        opened.locator("body[data-ready]").wait_for()
        opened.wait_for_timeout(2000)  # shaders are compiled
        opened.evaluate(STEPS, 5)
        moving = opened.evaluate(STEPS, count)
        still = opened.evaluate(STEPS.replace("slider.dispatchEvent", "0 && slider.dispatchEvent"), count)
        browser.close()
    return moving, still


def measure(count: int) -> list[Row]:
    """Return the median durations of a frame with a step and of one without."""
    if not shutil.which("chromium"):
        sys.exit("chromium: not found, so that the explorer was not measured. Install it.")
    with tempfile.TemporaryDirectory() as folder:
        moving, still = frames(make_explorer(Path(folder)), count)
    ours = Figure("a step in every frame of the screen, from frame to frame", statistics.median(moving))
    floor = Figure("frames in which the slider alone is moved, not the page", statistics.median(still))
    slowest = Figure("the slowest of twenty", sorted(moving)[-max(1, count // 20)])
    note = f"A simulated scan as its cord stack, two pictures, {count} steps; all is drawn by the processor."
    return [Row(SLIDER, ours, (), floor, (slowest,), note)]


if __name__ == "__main__":
    run(measure, 50, __doc__)
