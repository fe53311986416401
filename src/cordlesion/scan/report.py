"""One page about the lesions of one scan: pictures, a map along the cord, a table; nothing loaded, no script."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure

from cordlesion import __version__
from cordlesion.config import PostprocessConfig
from cordlesion.cord.ends import END_WORDS
from cordlesion.guard.verdict import NOT_COMPARED, Verdict
from cordlesion.io.formats import MISSING
from cordlesion.io.writing import write_text
from cordlesion.lesions.coverage import Coverage
from cordlesion.lesions.measure import Lesion, LesionList
from cordlesion.pictures.html_page import page_environment
from cordlesion.pictures.style import INK, style
from cordlesion.pictures.svg import inline_svg, shorten_svg

TEMPLATES = Path(__file__).parent / "templates"
MAX_ROWS = 12
"""Lesions in the table: more would not fit on the page, and are in ``lesions.tsv``."""
NO_PROBABILITY = "n/a"
_MAP_WIDTH, _LANE_HEIGHT, _NUMBER_WIDTH = 700, 15, 18
_TICKS_MM = (5, 10, 20, 50, 100)


@dataclass(frozen=True)
class Source:
    """What a report states about how its lesions were found."""

    scan: str
    """Name of the scan."""
    file: str
    """Name of its file."""
    model: str
    threshold: float
    threshold_origin: str
    removal: PostprocessConfig
    """What is no lesion however probable."""
    centerline: Mapping[str, object] | None
    """Where the cord's centre comes from: ``Source``, ``File``, ``Confidence``."""
    peak_probability: float | None
    """Largest probability anywhere in the scan; None where the model gives a mask."""
    remarks: Sequence[str] = ()
    """What a reader must know of this scan before its numbers."""
    trained_on: str = ""
    errors: str = ""
    """What is known of the model's training and of its errors; empty where the model has no place for it."""
    guard: Verdict = NOT_COMPARED
    """How the scan compares with the training scans."""
    cord_only: bool = True
    """Lesions were looked for along the centerline, and nowhere else."""
    coverage: Coverage | None = None
    """Which part of the scan was searched; None where that is the whole image."""
    is_calibrated: bool = False
    """Whether lesions have a probability of being real."""


def write_lesion_report(path: Path, source: Source, found: LesionList, pictures: Figure) -> Path:
    """Write the page; printed, it fills one sheet of A4.

    Args:
        path: Of the page (.html).
        source: How the lesions were found.
        found: The lesions.
        pictures: A montage of the scan, which becomes part of the page.

    Raises:
        CordlesionError: The folder cannot be written.
    """
    now = datetime.now(UTC)
    page = page_environment(TEMPLATES).get_template("lesions.html.j2").render(
        source=source,
        removed=_removed(source.removal),
        centerline=_curve(source.centerline),
        coverage=source.coverage,
        ends=END_WORDS,
        lesions=[_row(lesion) for lesion in found.lesions[:MAX_ROWS]],
        load=found.load,
        map=_map(found),
        pictures=_inline(pictures, source.scan),
        date=f"{now.day} {now:%B %Y}",
        version=__version__,
    )  # fmt: skip
    write_text(path, page)
    return path


def _inline(figure: Figure, name: str) -> Markup:
    text = io.StringIO()
    with style():
        figure.savefig(text, format="svg", metadata={"Date": None})
    return Markup(inline_svg(shorten_svg(text.getvalue()), "m-", f"Pictures of {name}", INK))


def _row(lesion: Lesion) -> dict[str, str]:
    return {
        "number": f"{lesion.lesion}",
        "volume": f"{lesion.volume_mm3:.0f}" if lesion.volume_mm3 >= 9.5 else f"{lesion.volume_mm3:.1f}",
        "length": f"{lesion.length_mm:.1f}",
        "position": f"{lesion.position_mm:.1f}".replace("-", "−"),
        "offset": _offset(lesion),
        "peak": NO_PROBABILITY if lesion.peak_probability is None else f"{lesion.peak_probability:.2f}",
        "mean": NO_PROBABILITY if lesion.mean_probability is None else f"{lesion.mean_probability:.2f}",
        "real": NO_PROBABILITY if lesion.probability is None else f"{lesion.probability:.2f}",
        "voxel": ", ".join(f"{index:.0f}" for index in (lesion.i, lesion.j, lesion.k)),
    }


def _offset(lesion: Lesion) -> str:
    """Say where in its section of the cord a lesion lies: ``2.1 left, 0.8 behind``."""
    if lesion.left_mm is None or lesion.anterior_mm is None:
        return MISSING
    sides = ((lesion.left_mm, "left", "right"), (lesion.anterior_mm, "in front", "behind"))
    offsets = [f"{abs(mm):.1f} {ahead if mm > 0 else back}" for mm, ahead, back in sides if round(abs(mm), 1) > 0]
    return ", ".join(offsets) or "at the centre"


def _removed(removal: PostprocessConfig) -> str:
    kept = [] if removal.cord_margin_mm is None else [f"within {removal.cord_margin_mm:g} mm of the cord mask"]
    if removal.minimum_volume_mm3:
        kept.append(f"in components larger than {removal.minimum_volume_mm3:g} mm³")
    return " and ".join(kept)


def _curve(record: Mapping[str, object] | None) -> str:
    """Say where the cord's centre comes from, and how sure it is."""
    if record is None:
        return "none was used"
    confidence = record["Confidence"]
    sure = "" if confidence is None else f", confidence {confidence:.2f} in the least sure 10 mm of cord"
    if record["File"]:
        return (
            f"the centre of the cord mask {record['File']}" if record["Source"] == "cord_mask" else f"{record['File']}"
        )
    named = {"auto": "cordlesion", "sct": "the Spinal Cord Toolbox"}
    network = f"the Spinal Cord Toolbox’s centerline network ({record['Source']}), with cordlesion’s curve"
    return f"found in the scan by {named.get(str(record['Source']), network)}{sure}"


def _map(found: LesionList) -> dict[str, Any] | None:
    """Lay out the lesions as bars along the cord, superior at the left; none without a centerline."""
    if found.load.cord_mm is None or not found.lesions:
        return None
    spans = [(one.position_mm - one.length_mm / 2, one.position_mm + one.length_mm / 2) for one in found.lesions]
    start = min(0.0, *(low for low, _ in spans))
    end = max(found.load.cord_mm, *(high for _, high in spans))
    scale = _MAP_WIDTH / (end - start)
    lanes: list[float] = []
    bars = []
    for lesion, (low, high) in sorted(zip(found.lesions, spans, strict=True), key=lambda one: one[1]):
        lane = next((n for n, reached in enumerate(lanes) if reached + _NUMBER_WIDTH < low * scale), len(lanes))
        lanes[lane : lane + 1] = [high * scale]
        bars.append(
            {"number": lesion.lesion, "x": round((low - start) * scale, 1), "width": round((high - low) * scale, 1),
             "y": lane * _LANE_HEIGHT}
        )  # fmt: skip
    step = next((step for step in _TICKS_MM if (end - start) / step <= 12), _TICKS_MM[-1])
    ticks = [(round((mm - start) * scale, 1), mm) for mm in range(0, int(end) + 1, step)]
    return {"bars": bars, "ticks": ticks, "width": _MAP_WIDTH, "height": len(lanes) * _LANE_HEIGHT}
