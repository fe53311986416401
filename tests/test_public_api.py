import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cordlesion
from support.images import box


@pytest.mark.parametrize("name", cordlesion.__all__)
def test_every_public_name_exists(name):
    assert getattr(cordlesion, name) is not None
    assert name in dir(cordlesion)


def test_the_names_of_the_contract():
    promised = {
        "LesionRule",
        "evaluate",
        "sweep",
        "choose_threshold",
        "segment",
        "losses",
        "ScanMetrics",
        "Segmentation",
        "ThresholdChoice",
    }
    assert promised <= set(cordlesion.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = cordlesion.nonsense


def test_the_examples_of_the_contract():
    lesion, spacing = box((4, 10), (4, 10), (4, 10)), (0.6, 0.6, 0.6)
    rule = cordlesion.LesionRule(min_overlap=0.25, max_outside=0.70, gamma=0.65, min_volume_mm3=3.0, connectivity=6)
    assert rule == cordlesion.LesionRule()
    metrics = cordlesion.evaluate(lesion, lesion, spacing, rule="study")
    assert isinstance(metrics, cordlesion.ScanMetrics)
    assert (metrics.voxel_f1, metrics.lesion_f1, metrics.n_reference_lesions) == (1.0, 1.0, 1)
    with pytest.raises(FrozenInstanceError):
        metrics.voxel_f1 = 0.0
    swept = cordlesion.sweep(lesion, lesion * np.float32(0.7), spacing, (0.5, 0.7, 0.75), rule=rule)
    assert [m.voxel_f1 for m in swept] == [1.0, 1.0, 0.0]
    rows = [
        {"scan_id": "a", "subject": "a", "threshold": t, "voxel_f1": m.voxel_f1}
        for t, m in zip((0.5, 0.7, 0.75), swept, strict=True)
    ]
    assert cordlesion.choose_threshold(pd.DataFrame(rows), objective="median_voxel_f1").value == 0.5
    import torch

    logits = torch.randn(1, 1, 4, 4, 4)
    assert cordlesion.losses.LOSSES["tversky"](logits, (logits > 0).float()).ndim == 0


WITH_TORCH = {
    *("losses", "LOSSES", "make_loss", "in_float32", "segment", "Segmentation", "load_bundle", "run_study"),
    "set_threshold",
}
REPOSITORY = Path(__file__).parents[1]
CODE_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_type_checkers_see_the_same_names():
    """What is declared for them is what is imported on first use."""
    blocks = [node for node in ast.parse(inspect.getsource(cordlesion)).body if isinstance(node, ast.If)]
    (block,) = (node for node in blocks if ast.unparse(node.test) == "TYPE_CHECKING")
    imported = {
        (name.asname or name.name): f"{node.module}:{name.name}".removeprefix("cordlesion").removeprefix(".")
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    for node in block.body:
        if isinstance(node, ast.Assign):
            imported[node.targets[0].id] = imported.pop(node.value.id)
    ours = {}
    for name, home in cordlesion._HOMES.items():
        module, colon, other = home.partition(":")
        ours[name] = f":{module}" if colon and not other else f"{module}:{other or name}"
    assert imported == ours


def readable_code():
    """Each code block of README and docs, and each example."""
    for page in (REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))):
        for block in CODE_BLOCK.findall(page.read_text(encoding="utf-8")):
            yield page.name, block
    for example in sorted((REPOSITORY / "examples").glob("*.py")):
        yield example.name, example.read_text(encoding="utf-8")


def test_whoever_follows_the_documentation_needs_the_public_api_only():
    """Nothing is imported from an inner module, but for the two that are public themselves."""
    found = []
    for place, code in readable_code():
        for node in ast.walk(ast.parse(code)):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [name.name for name in node.names] if isinstance(node, ast.Import) else []
            found += [(place, name) for name in names if name and name.startswith("cordlesion.")]
    assert {one for one in found if one[1] not in ("cordlesion.config", "cordlesion.losses")} == set()


def test_all_but_networks_is_reached_without_torch():
    names = ", ".join(f"cordlesion.{name}" for name in cordlesion.__all__ if name not in WITH_TORCH)
    code = f"import sys, cordlesion; {names}; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_every_module_can_be_imported_and_says_what_it_is():
    for module in pkgutil.walk_packages(cordlesion.__path__, "cordlesion."):
        assert importlib.import_module(module.name).__doc__, module.name


def test_results_are_shown_in_a_notebook_as_tables_of_escaped_text(results):
    metrics = cordlesion.evaluate(box((4, 10), (4, 10), (4, 10)), box((4, 10), (4, 10), (5, 11)), (0.6, 0.6, 0.6))
    assert "<th>voxel f1</th><td>0.833</td>" in metrics._repr_html_()
    assert "<th>reference volume</th><td>47 mm³</td>" in metrics._repr_html_()
    rows = pd.DataFrame(
        {
            "scan_id": ["a", "b"] * 2,
            "subject": "<img>",
            "threshold": [0.3, 0.3, 0.5, 0.5],
            "voxel_f1": [0.8, 0.7, 0.2, 0.3],
        }
    )
    choice = replace(cordlesion.choose_threshold(rows), excluded={"c": "<img>: truncated"})
    assert "<th>median voxel F1</th><td>0.750</td>" in choice._repr_html_()
    assert "<p>Excluded: &lt;img&gt;: truncated</p>" in choice._repr_html_()
    named = replace(results, name="<b>study</b>")._repr_html_()
    assert "<caption>&lt;b&gt;study&lt;/b&gt;</caption>" in named
    assert results.label(results.best) in named
    table = pd.DataFrame({"scan_id": ["<img>"], "voxel_f1": [0.5]})
    shown = [cordlesion.MetricsTable(table, {"<img>": "<img>: no mask"}), cordlesion.Comparison(table)]
    for one in (metrics, choice, *shown):
        assert "<table" in one._repr_html_()
        assert "<img>" not in one._repr_html_()
