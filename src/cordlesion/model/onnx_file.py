"""A bundle as one ONNX file, for programs without PyTorch."""

import importlib.util
import json
import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from cordlesion.errors import CordlesionError
from cordlesion.io.outputs import check_output_file
from cordlesion.io.writing import atomic_path
from cordlesion.model.bundle import bundle_files, load_own_bundle
from cordlesion.model.patch_model import PatchModel, example_patches, traceable, use_facts

if TYPE_CHECKING:
    import onnx

_OPSET = 18
"""The oldest that PyTorch's exporter writes without converting."""


def export_onnx(folder: Path, output: Path, code: Path | None = None) -> None:
    """Write a bundle as ONNX: input ``patches``, output ``probability``, any batch size, and the card as metadata.

    Args:
        folder: The bundle.
        output: Path of the file (``.onnx``).
        code: Folder of the module of a network of the user, as for :func:`~.bundle.load_bundle`.

    Raises:
        CordlesionError: The bundle cannot be read, the file not be written, or the extra ``onnx`` is not installed.
    """
    check_output_file(output, *bundle_files(folder))
    if missing := [name for name in ("onnx", "onnxscript") if importlib.util.find_spec(name) is None]:
        raise CordlesionError(
            f"{output}: writing ONNX needs {' and '.join(missing)}, which is not installed. "
            "Run `pip install 'cordlesion[onnx]'`."
        )
    bundle = load_own_bundle(folder, code)
    with traceable(bundle.card, folder):
        content = _graph(PatchModel(bundle), example_patches(bundle.card))
    facts = use_facts(bundle.card, folder) | {"model_card": bundle.card.model_dump(mode="json")}
    for key, value in facts.items():
        content.metadata_props.add(key=key, value=value if isinstance(value, str) else json.dumps(value))
    content.doc_string = f"{facts['intended_use']} {facts['license']}"
    with atomic_path(output) as temporary:
        temporary.write_bytes(content.SerializeToString())


def _graph(model: PatchModel, patches: torch.Tensor) -> "onnx.ModelProto":
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    # Its messages are about other packages and its own internals.
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                model,
                (patches,),
                input_names=["patches"],
                output_names=["probability"],
                opset_version=_OPSET,
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                dynamo=True,
                verbose=False,
            )
    finally:
        logger.setLevel(level)
    assert program is not None
    return program.model_proto
