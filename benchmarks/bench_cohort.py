"""The slider of the explorer's cohort page: one step of all scans of a finished study, in Chromium and in Firefox.

python benchmarks/bench_cohort.py STUDY [steps [search]]
"""

import shutil
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from _firefox import firefox
from bench_explorer import FLAGS

from cordlesion.explorer.server import serve

SIZE = (1280, 720)
STEPS = """
(count, moves) => new Promise((resolve) => {
  const slider = document.querySelector('[data-side="a"] input[type="range"]');
  const levels = Array.from({ length: 21 }, (_, n) => Math.round((n / 20) * slider.max));
  const taken = [];
  const step = () => {
    if (taken.length === count) return resolve(taken);
    const start = performance.now();
    if (moves) {
      slider.value = levels[(8 * taken.length) % levels.length];
      slider.dispatchEvent(new Event("input", { bubbles: true }));
    }
    requestAnimationFrame(() => {
      const drawn = new MessageChannel();
      drawn.port1.onmessage = () => {
        document.body.getBoundingClientRect();
        taken.push(performance.now() - start);
        setTimeout(step, 0);
      };
      drawn.port2.postMessage(0);
    });
  };
  step();
})
"""
"""From moving the slider until the next frame, with all counts, is laid out and painted; milliseconds of each step."""


@contextmanager
def served(study: Path) -> Iterator[str]:
    """Serve the explorer of a study; yields its address."""
    with serve(study) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.address
        server.shutdown()
        thread.join()


def in_chromium(address: str, count: int) -> list[list[float]]:
    """Return the milliseconds of each step, and of as many frames without one."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]})
        page.set_default_timeout(120_000)
        page.goto(address)
        page.locator("#table tbody tr").first.wait_for()
        page.wait_for_timeout(2000)
        found = [
            page.evaluate(f"([count, moves]) => ({STEPS})(count, moves)", [count, moves]) for moves in (True, False)
        ]
        browser.close()
    return found


def in_firefox(address: str, count: int) -> list[list[float]]:
    """As :func:`in_chromium`, in Firefox."""
    with firefox() as page:
        page.open(address, *SIZE)
        page.wait_for("#table tbody tr")
        time.sleep(2)
        return [page.evaluate(STEPS, count, moves) for moves in (True, False)]


def main() -> None:
    """Print the median, the slowest of twenty, and the median of frames without a step."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 60
    search = sys.argv[3] if len(sys.argv) > 3 else ""  # as in the page: only scans with this text in their name
    with served(Path(sys.argv[1])) as address:
        for name, measure in (("Chromium", in_chromium), ("Firefox", in_firefox)):
            moving, still = measure(f"{address}#page=cohort&q={search}", count)
            slowest = sorted(moving)[-max(1, count // 20)]
            figures = [statistics.median(moving), slowest, statistics.median(still)]
            print(f"{name}: {figures[0]:.1f} ms a step, slowest of twenty {figures[1]:.1f}, without {figures[2]:.1f}")


if __name__ == "__main__":
    main()
