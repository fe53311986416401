"""SCT's published networks from its own files, whose layers are compared with those that SCT published, one by one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import torch
from torch import nn

from cordlesion.errors import CordlesionError
from cordlesion.io.fingerprints import file_hash
from cordlesion.io.foreign_file import ForeignFileError
from cordlesion.io.outputs import check_output_folder
from cordlesion.model.bundle import read_card, save_bundle
from cordlesion.sct.bundle import SctBundle, SctCard, SctNetworkConfig, SctPredictionConfig
from cordlesion.sct.keras_file import KerasFile, KerasLayer, open_keras
from cordlesion.sct.layers import centerline_plan, lesion_plan, require_plan
from cordlesion.sct.networks import SctCenterlineNet, SctLesionNet
from cordlesion.sct.onnx_file import read_onnx_network
from cordlesion.sct.stack import SCT_CONTRASTS
from cordlesion.threshold import GlobalThreshold

Variant = Literal["shipped", "soft"]
VARIANTS: Mapping[Variant, tuple[SctPredictionConfig, GlobalThreshold | None]] = MappingProxyType(
    {
        "shipped": (
            SctPredictionConfig(overlap_fraction=0, cut=0.1),
            GlobalThreshold(value=0.1, objective="none: SCT's own", interval=None),
        ),
        "soft": (SctPredictionConfig(), None),
    }
)
"""How SCT's networks are used."""
_NEXT: Mapping[Variant, str] = MappingProxyType(
    {
        "shipped": "Next: `cordlesion segment SCAN -m {folder} -o DIR`, or name it as a comparator of a study.",
        "soft": "Next: name it as a comparator of a study, which tunes its threshold, or give `segment` a --threshold.",
    }
)

_CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d)
_WEIGHTED = (*_CONVOLUTIONS, nn.BatchNorm2d, nn.BatchNorm3d)
_CONVOLUTION = {"weight": "kernel", "bias": "bias"}
_NORMALIZATION = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
_MOST_FILTERS = 1024


def import_sct(file: Path, folder: Path, variant: Variant = "shipped", contrast: str | None = None) -> str:
    """Make a bundle of a lesion network that SCT published.

    Args:
        file: ``t2_lesion``, ``t2_ax_lesion`` or ``t2s_lesion``, as ``.h5`` or ``.onnx``; the weights stay under SCT's
            own terms.
        folder: Where to write the bundle.
        variant: ``shipped``: patches that do not overlap, p > 0.1 and after interpolation >= 0.1, a mask as SCT writes
            it. ``soft``: overlapping patches, probabilities, a threshold to be tuned.
        contrast: A row of ``SCT_CONTRASTS``; by default that of the file's name.

    Returns:
        What was written, and how to use it: one sentence each.

    Raises:
        CordlesionError: The file cannot be used, its contrast is not known, or the folder holds a bundle already.
    """
    check_output_folder(folder)
    held = read_card(folder) if (folder / "model.json").exists() else None
    if held and "sha256" not in held.provenance:
        raise CordlesionError(_other_model(folder))
    _require_lesion_file(file)
    constants = SCT_CONTRASTS[_contrast(file, contrast)]
    provenance = {
        "source": file.name,
        "sha256": file_hash(file),
        "variant": f"sct_{variant}",
        "reference": "Gros et al., NeuroImage 2019, doi:10.1016/j.neuroimage.2018.09.081",
    }
    if held and not (isinstance(held, SctCard) and (held.provenance, held.preprocess) == (provenance, constants)):
        raise CordlesionError(_other_model(folder))
    if not held:
        network, filters = read_lesion_network(file)
        prediction, threshold = VARIANTS[variant]
        card = SctCard(
            network=SctNetworkConfig(filters=filters),
            preprocess=constants,
            prediction=prediction,
            threshold=threshold,
            provenance=provenance,
        )
        save_bundle(folder, SctBundle(card, network))
    return f"{folder}: SCT's {file.name} ({variant}). {_NEXT[variant].format(folder=folder)}"


def _other_model(folder: Path) -> str:
    return f"{folder}: holds a model already, and not this one; a new folder is needed. Choose another --output."


def _require_lesion_file(file: Path) -> None:
    """Refuse files that are not SCT's lesion networks, by their names, before the contrast is read from the name."""
    if not file.exists():
        raise CordlesionError(f"{file}: no such file. Check the name; t2_lesion.h5 of SCT, for example, is needed.")
    if file.is_dir():
        raise CordlesionError(
            f"{file}: is a folder; one file of SCT is needed. Give t2_lesion.h5, for example, in that folder."
        )
    if "_ctr" in file.stem:
        raise CordlesionError(
            f"{file}: is named as SCT's centerline network, of which no model is made; a lesion network is needed. "
            "Give it as it is: `cordlesion centerline SCAN --source FILE`, `segment --centerline-source FILE`, or "
            "`preprocess.centerline` of a study."
        )
    if file.suffix.casefold() not in (".h5", ".onnx"):
        raise CordlesionError(
            f"{file}: no network of SCT ends in {file.suffix!r}; its lesion networks are .h5 (Keras 2) or .onnx files. "
            "Networks of other programs, such as nnU-Net's .pth or Keras 3's .keras, cannot be imported: give "
            "their maps as a comparator of a study."
        )


def _contrast(file: Path, contrast: str | None) -> str:
    if (named := contrast or file.name.partition("_lesion")[0]) in SCT_CONTRASTS:
        return named
    fault = f"{contrast!r} is no contrast" if contrast else "its name does not give the contrast it was made for"
    raise CordlesionError(f"{file}: {fault}; one of {', '.join(SCT_CONTRASTS)} is needed. Give --contrast.")


def read_lesion_network(path: Path | str) -> tuple[SctLesionNet, tuple[tuple[int, int], ...]]:
    """Read a lesion network of SCT (``t2_lesion``, ``t2_ax_lesion`` or ``t2s_lesion``).

    Args:
        path: Keras's HDF5 file as SCT published it, or the ONNX file (``.onnx``) that it ships.

    Returns:
        The network in evaluation mode, and its filters per level.

    Raises:
        CordlesionError: The file is missing, damaged, or holds anything but such a network.
    """
    path = Path(path)
    if path.suffix.casefold() == ".onnx":
        return read_onnx_network(path)
    with open_keras(path) as file:
        filters = tuple((_filters(level[0]), _filters(level[-1])) for level in _way_down(file.layers, "Conv3D"))
        require_plan(file.layers, lesion_plan(filters), "lesion")
        with torch.device("meta"):
            network = SctLesionNet(filters)
        _fill(network, file)
    return network, filters


def read_centerline_network(path: Path | str) -> SctCenterlineNet:
    """Read a centerline network of SCT (``t2_ctr.h5``).

    Its layer of code, a division by a temperature of 1, is recognised by its text and left out; it is never decoded.

    Args:
        path: Keras's HDF5 file as SCT published it.

    Returns:
        The network in evaluation mode.

    Raises:
        CordlesionError: The file is missing, damaged, or holds anything but such a network.
    """
    with open_keras(Path(path)) as file:
        levels = _way_down(file.layers, "Conv2D")
        filters = [_filters(level[0]) for level in levels]
        dilations = [layer.settings["dilation_rate"][0] for layer in levels[0]]
        require_plan(file.layers, centerline_plan(filters, dilations), "centerline")
        with torch.device("meta"):
            network = SctCenterlineNet(filters, dilations)
        _fill(network, file)
    return network


def _way_down(layers: Sequence[KerasLayer], convolution: str) -> list[list[KerasLayer]]:
    """Return the convolutions of each level up to the first step upwards."""
    levels: list[list[KerasLayer]] = [[]]
    for layer in layers:
        if layer.kind in ("UpSampling3D", "Conv2DTranspose"):
            break
        if layer.kind.startswith("MaxPooling"):
            levels.append([])
        if layer.kind == convolution:
            levels[-1].append(layer)
    if not all(levels):
        raise ForeignFileError(f"has no {convolution} layer in one of {len(levels)} levels")
    return levels


def _filters(layer: KerasLayer) -> int:
    filters = layer.settings.get("filters")
    if not isinstance(filters, int) or not 0 < filters <= _MOST_FILTERS:
        raise ForeignFileError(f"{layer.name} has {filters!r} filters")
    return filters


def _fill(network: nn.Module, file: KerasFile) -> None:
    """Fill a network on the meta device with the weights of a file, whose layers are in the order of its modules."""
    state = network.state_dict()
    if 4 * sum(values.numel() for values in state.values()) > file.n_bytes:
        raise ForeignFileError("its layers ask for more weights than it can hold")
    weighted = [layer.name for layer in file.layers if layer.kind == "BatchNormalization" or "Conv" in layer.kind]
    modules = [(name, module) for name, module in network.named_modules() if isinstance(module, _WEIGHTED)]
    for layer, (name, module) in zip(weighted, modules, strict=True):
        arrays = _CONVOLUTION if isinstance(module, _CONVOLUTIONS) else _NORMALIZATION
        for ours, theirs in arrays.items():
            key = f"{name}.{ours}"
            # Keras has the channels last: those that come in and go out of a convolution; the other way round, those
            # of a transposed one. Both are the reverse of torch's.
            axes = [*range(2, state[key].ndim), 1, 0][-state[key].ndim :]
            shape = tuple(state[key].shape[axis] for axis in axes)
            values = torch.from_numpy(file.read(layer, theirs, shape))
            state[key] = values.permute(*torch.argsort(torch.tensor(axes))).contiguous()
        if not isinstance(module, _CONVOLUTIONS):
            state[f"{name}.num_batches_tracked"] = torch.tensor(0)
    network.load_state_dict(state, assign=True)
    network.eval()
