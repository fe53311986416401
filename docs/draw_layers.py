"""Draw docs/images/layers.svg, the picture of docs/architecture.md, from the layers in pyproject.toml.

python docs/draw_layers.py
"""

import tomllib
from pathlib import Path

DOCS = Path(__file__).parent
PICTURE = DOCS / "images" / "layers.svg"
_WIDTH, _ROW, _BOX, _GAP = 760, 42, 32, 8
_FILL = {
    "study": "#f3d9c9",
    "scan": "#f3d9c9",
    "maps": "#f3d9c9",
    "detectability": "#f3d9c9",
    "training": "#d7e6ef",
    "report": "#dcebd8",
}
"""The four doors; the only folder with Lightning; the page that comes out."""
_STYLE = "<style>text{font:13px sans-serif;text-anchor:middle;fill:#222}rect{stroke:#777;rx:4px}</style>"


def read_layers() -> list[list[str]]:
    """Return the layers of the package, highest first, each as the names of its folders and modules."""
    settings = tomllib.loads((DOCS.parent / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [layer.replace(" ", "").split("|") for layer in layers]


def draw(layers: list[list[str]]) -> str:
    """Return the picture as SVG: a row per layer, a box per folder or module."""
    rows = [_row(names, number * _ROW) for number, names in enumerate(layers)]
    title = "<title>Layers of cordlesion: each may import only lower ones</title>"
    size = f'viewBox="0 0 {_WIDTH} {len(layers) * _ROW}"'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">', title, _STYLE, *rows, "</svg>\n"])


def _row(names: list[str], top: int) -> str:
    width = (_WIDTH - _GAP * (len(names) + 1)) / len(names)
    return "\n".join(_box(name, _GAP + k * (width + _GAP), top + _GAP / 2, width) for k, name in enumerate(names))


def _box(name: str, left: float, top: float, width: float) -> str:
    box = f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{_BOX}" fill="{_FILL.get(name, "#fff")}"/>'
    return f'{box}<text x="{left + width / 2:.1f}" y="{top + 21:.1f}">{name}</text>'


if __name__ == "__main__":
    PICTURE.write_text(draw(read_layers()), encoding="utf-8")
