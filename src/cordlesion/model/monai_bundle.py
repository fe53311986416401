"""A bundle as a MONAI bundle: ``configs/``, ``models/model.ts`` and ``docs/``, usable without cordlesion.

The network is TorchScript, because that is what MONAI and its deployment tools load by themselves without unpickling
Python objects; safetensors would hold the weights only, and need our classes around them.
"""

import io
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from cordlesion.errors import CordlesionError
from cordlesion.io.outputs import check_new_folder, new_folder
from cordlesion.io.probability import min_lesion_probability
from cordlesion.io.writing import atomic_path, write_json, write_text
from cordlesion.model.bundle import Bundle, ModelCard, load_own_bundle
from cordlesion.model.patch_model import (
    LICENSE,
    RESEARCH_USE,
    PatchModel,
    example_patches,
    patch_shape,
    traceable,
    use_facts,
)

_SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
_REACH = 1000.0
"""How far the lines through the outer landmarks are drawn out, in units of the outer intervals."""


def export_monai(folder: Path, output: Path, code: Path | None = None) -> None:
    """Write a bundle as a MONAI bundle; ``metadata.json`` comes last, so a folder with it is whole.

    Args:
        folder: The bundle.
        output: A new or empty folder.
        code: Folder of the module of a network of the user, as for :func:`~.bundle.load_bundle`.

    Raises:
        CordlesionError: The bundle cannot be read, its blending has no counterpart in MONAI, or the folder is not empty
            or cannot be written.
    """
    check_new_folder(output)
    bundle = load_own_bundle(folder, code)
    if bundle.card.prediction.blending == "hann":
        raise CordlesionError(
            f"{folder}: blends patches by a Hann window, which MONAI does not have; mean or gaussian is needed. "
            "Set `prediction.blending` and tune again."
        )
    metadata = _metadata(bundle, folder)
    with traceable(bundle.card, folder):
        network = _trace(bundle)
    with new_folder(output):
        with atomic_path(output / "models" / "model.ts") as temporary:
            temporary.write_bytes(network)
        write_json(output / "configs" / "inference.json", _inference(bundle))
        write_json(output / "docs" / "model.json", bundle.card.model_dump(mode="json"))
        write_text(output / "docs" / "README.md", _readme(bundle))
        write_text(output / "LICENSE", f"{LICENSE}\n\n{RESEARCH_USE}\n")
        write_json(output / "configs" / "metadata.json", metadata)


def _trace(bundle: Bundle) -> bytes:
    """Return the network as TorchScript."""
    with warnings.catch_warnings():
        # TorchScript is on its way out, but has no successor yet that MONAI reads.
        warnings.simplefilter("ignore", DeprecationWarning)
        network, patches = PatchModel(bundle), example_patches(bundle.card)
        traced = torch.jit.trace(network, patches, check_trace=False)  # type: ignore[no-untyped-call]
        # Not into the file, since torch aborts the process where the disk is full.
        torch.jit.save(traced, content := io.BytesIO())
    return content.getvalue()


def _metadata(bundle: Bundle, folder: Path) -> dict[str, Any]:
    shape = list(patch_shape(bundle.card))
    patch = {"num_channels": 1, "spatial_shape": shape, "dtype": "float32", "is_patch_data": True}
    image = {"type": "image", "format": "magnitude", "modality": "MR", "value_range": [], "channel_def": {"0": "T2w"}}
    lesion = {"type": "probabilities", "format": "segmentation", "value_range": [0, 1], "channel_def": {"0": "lesion"}}
    facts = use_facts(bundle.card, folder)
    return {
        "schema": _SCHEMA,
        "version": "1.0.0",
        "changelog": {"1.0.0": f"exported by cordlesion {facts['cordlesion_version']}"},
        "monai_version": version("monai"),
        "pytorch_version": torch.__version__,
        "numpy_version": version("numpy"),
        "required_packages_version": {"nibabel": version("nibabel")},
        "name": "Lesions of multiple sclerosis in the spinal cord",
        "task": "Segmentation of MS lesions on T2-weighted MRI of the spinal cord",
        "description": _description(bundle.card),
        "authors": "Those who trained the weights; see docs/model.json",
        "copyright": LICENSE,
        "license": LICENSE,
        "intended_use": RESEARCH_USE,
        "network_data_format": {"inputs": {"image": image | patch}, "outputs": {"pred": lesion | patch}},
        # Numbers and fixed sentences only: MONAI evaluates texts that begin with a dollar sign, and a card holds any.
        "cordlesion": facts,
    }


def _description(card: ModelCard) -> str:
    if card.network.is_imported:
        return "A network on patches around the cord, trained with cordlesion."
    return "3-D U-Net on patches around the cord (Hussein et al., ISBI 2023), trained with cordlesion."


def _inference(bundle: Bundle) -> dict[str, Any]:
    """Compose MONAI's own transforms and inferer into our prediction, for images cropped to the model's region."""
    card = bundle.card
    values = card.landmarks.values
    outer = (values[0] - _REACH * (values[1] - values[0]), values[-1] + _REACH * (values[-1] - values[-2]))
    own = "np.percentile(image, @percentiles)"
    tuned = card.threshold.fixed_threshold if card.threshold else None
    threshold = 0.5 if tuned is None else tuned
    reach = f"(lambda p: np.r_[p[0] - {_REACH} * (p[1] - p[0]), p, p[-1] + {_REACH} * (p[-1] - p[-2])])"
    return {
        "imports": ["$import glob", "$import numpy as np", "$import torch"],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/images'",
        "output_dir": "$@bundle_root + '/eval'",
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "network_def": "$torch.jit.load(@bundle_root + '/models/model.ts', map_location=@device)",
        "percentiles": list(card.landmarks.percentiles),
        "landmarks": [outer[0], *values, outer[1]],
        "to_landmarks": f"$lambda image: torch.from_numpy(np.interp(image, {reach}({own}), @landmarks)).float()",
        "threshold": threshold,
        "min_lesion_probability": float(min_lesion_probability(threshold)),
        "preprocessing": {"_target_": "Compose", "transforms": _preprocessing(card.preprocess.spacing_mm)},
        "dataset": {
            "_target_": "Dataset",
            "data": "$[{'image': name} for name in sorted(glob.glob(@dataset_dir + '/*.nii*'))]",
            "transform": "@preprocessing",
        },
        "inferer": {
            "_target_": "SlidingWindowInferer",
            "roi_size": list(patch_shape(card)),
            "sw_batch_size": 8,
            "overlap": card.patches.overlap_fraction,
            "mode": "constant" if card.prediction.blending == "mean" else "gaussian",
            "padding_mode": "replicate",
        },
        "postprocessing": {"_target_": "Compose", "transforms": _postprocessing()},
        "predict": "$lambda item: {**item, 'pred': @inferer(item['image'][None].to(@device), @network_def)[0]}",
        "run": ["$[@postprocessing(@predict(item)) for item in @dataset]"],
    }


def _preprocessing(spacing_mm: float) -> list[dict[str, Any]]:
    return [
        {"_target_": "LoadImaged", "keys": "image"},
        {"_target_": "EnsureChannelFirstd", "keys": "image"},
        {"_target_": "Orientationd", "keys": "image", "axcodes": "LAS", "labels": None},
        {"_target_": "Spacingd", "keys": "image", "pixdim": [spacing_mm] * 3, "mode": "bilinear"},
        {"_target_": "Lambdad", "keys": "image", "func": "$lambda image: image * 0 + @to_landmarks(image.numpy())"},
    ]


def _postprocessing() -> list[dict[str, Any]]:
    back = {"_target_": "Invertd", "keys": "pred", "orig_keys": "image", "transform": "@preprocessing"}
    saved = {"_target_": "SaveImaged", "keys": "pred", "output_dir": "@output_dir", "separate_folder": False}
    return [
        back | {"nearest_interp": False, "to_tensor": True},
        saved | {"output_postfix": "probseg", "resample": False},
        {"_target_": "AsDiscreted", "keys": "pred", "threshold": "@min_lesion_probability"},
        saved | {"output_postfix": "mask", "resample": False},
    ]


def _removed(card: ModelCard) -> str:
    """Return, in words, what `segment` removes from masks and this bundle does not."""
    volume, margin = card.postprocess.minimum_volume_mm3, card.postprocess.cord_margin_mm
    removed = [f"connected pieces of up to {volume:g} mm3"] if volume else []
    removed += [f"what lies more than {margin:g} mm outside of the cord, by its mask"] if margin is not None else []
    if not removed:
        return ""
    return (
        f"\nThe threshold was tuned for masks from which {' and '.join(removed)} are taken away. The masks in `eval/`\n"
        "still hold these: remove them, or use `cordlesion segment`.\n\n"
    )


def _readme(bundle: Bundle) -> str:
    card = bundle.card
    region = "the foreground" if card.preprocess.region == "foreground" else "the surroundings of the spinal cord"
    removed = _removed(card)
    tuned = card.threshold.summary if card.threshold else "not tuned yet; 0.5 stands in"
    return f"""# Lesions of multiple sclerosis on T2-weighted MRI of the spinal cord

{RESEARCH_USE}
{LICENSE}

Put images that are cropped to {region} (about {patch_shape(card)[0] * card.preprocess.spacing_mm:g} mm wide) into
`images/` and run, in this folder:

    python -m monai.bundle run --config_file configs/inference.json --bundle_root .

`eval/` then holds a probability map and a mask of each. Decision threshold: {tuned}.
{removed}`cordlesion segment` finds the cord, straightens the crop along it, and does the rest.
"""
