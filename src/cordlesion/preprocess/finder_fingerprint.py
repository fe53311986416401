"""What a curve that is found in a scan depends on beside the scan: its finder's weights and constants, or version."""

from dataclasses import is_dataclass
from pathlib import Path
from types import ModuleType

from cordlesion.config import NETWORK, PreprocessConfig
from cordlesion.preprocess import best_path, cord_finder, cord_network, heatmap_curve, sct_contrast
from cordlesion.preprocess.sct_centerline import sct_version

_OURS = (cord_finder, cord_network, best_path)
_ALONG_HEATMAP = (*_OURS, heatmap_curve, sct_contrast)


def finder_fingerprint(config: PreprocessConfig) -> dict[str, object]:
    """Return all of a finder that other curves could come from, as JSON; empty where curves are drawn, or not needed.

    Constants are what stands in capitals at the top level of the finder's modules, so a new one counts by itself. The
    file of a network that is the user's own is an input of the study, and told by its hash as other inputs are.
    """
    if config.region != "cord":
        return {}
    if config.guide == NETWORK:
        # Of the file the content is an input, but its name alone tells the contrast.
        contrast = sct_contrast.contrast_of(Path(config.centerline))
        normal = sct_contrast.CENTERLINE_CONTRASTS.get(contrast)
        return {"contrast": [contrast, normal], **_constants(_ALONG_HEATMAP)}
    if config.centerline == "auto":
        return {"weights": cord_network.shipped_weights_hash(), **_constants(_OURS)}
    return {"sct": sct_version()} if config.centerline == "sct" else {}


def _constants(modules: tuple[ModuleType, ...]) -> dict[str, object]:
    """Return the constants of modules by name: numbers and groups of them, but no texts and places of files."""
    return {
        f"{module.__name__}.{name}": str(value)
        for module in modules
        for name, value in sorted(vars(module).items())
        if name.isupper() and (isinstance(value, int | float | tuple) or is_dataclass(value))
    }
