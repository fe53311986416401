"""What a centerline that is found in a scan depends on, except the scan: weights and constants, or the version."""

from pathlib import Path
from types import ModuleType
from typing import TypeAlias

from cordlesion.config import NETWORK, PreprocessConfig
from cordlesion.cord import best_path, evidence, heatmap_curve, second_look, slabs
from cordlesion.cord import finder as cord_finder
from cordlesion.cord import network as cord_network
from cordlesion.sct import contrasts as sct_contrast
from cordlesion.sct.centerline_program import sct_version

Constants: TypeAlias = tuple[tuple[str, ModuleType, str], ...]
"""For each constant the key under which it is hashed, its module and its name.

The keys stay as they are when a module is moved or a constant is renamed: another key is another fingerprint, and every
network would be trained again.
"""

_OURS: Constants = (
    ("cordlesion.preprocess.cord_finder.SLAB_MM", slabs, "SLAB_MM"),
    ("cordlesion.preprocess.cord_finder.MOST_LOG_ODDS", cord_finder, "MAX_LOG_ODDS"),
    ("cordlesion.preprocess.cord_finder.STIFFNESS", cord_finder, "STIFFNESS"),
    ("cordlesion.preprocess.cord_finder.STEEPEST", cord_finder, "MAX_SLOPE"),
    ("cordlesion.preprocess.cord_finder.WINDOW_CELLS", cord_finder, "WINDOW_CELLS"),
    ("cordlesion.preprocess.cord_finder.SMOOTHING_MM", cord_finder, "SMOOTHING_MM"),
    ("cordlesion.preprocess.cord_finder.LEAST_CONFIDENCE", cord_finder, "MIN_CONFIDENCE"),
    ("cordlesion.preprocess.cord_finder.SHORTEST_MM", cord_finder, "MIN_LENGTH_MM"),
    ("cordlesion.preprocess.cord_finder.SHORTEST_SHARE", cord_finder, "MIN_LENGTH_SHARE"),
    ("cordlesion.preprocess.cord_finder._BATCH_PIXELS", evidence, "_BATCH_PIXELS"),
    ("cordlesion.preprocess.cord_finder.FEWEST_FOR_SPLINE", cord_finder, "MIN_SPLINE_POINTS"),
    ("cordlesion.preprocess.cord_finder.CELL_MM", cord_finder, "CELL_MM"),
    ("cordlesion.preprocess.cord_finder.MULTIPLE", cord_network, "MULTIPLE"),
    ("cordlesion.preprocess.cord_finder.OFFSET_MM", cord_network, "OFFSET_MM"),
    ("cordlesion.preprocess.cord_finder.PIXEL_MM", cord_network, "PIXEL_MM"),
    ("cordlesion.preprocess.cord_network.CELL_MM", cord_network, "CELL_MM"),
    ("cordlesion.preprocess.cord_network.MULTIPLE", cord_network, "MULTIPLE"),
    ("cordlesion.preprocess.cord_network.OFFSET_MM", cord_network, "OFFSET_MM"),
    ("cordlesion.preprocess.cord_network.PIXEL_MM", cord_network, "PIXEL_MM"),
    ("cordlesion.preprocess.best_path._START", best_path, "_START"),
)
_OF_DETECTOR: Constants = (
    *_OURS,
    ("cord_finder.BORDER_MM", cord_finder, "BORDER_MM"),
    ("cord_finder.FROM_BELOW", cord_finder, "FROM_BELOW"),
    ("cord_finder.PRIOR", cord_finder, "PRIOR"),
    ("cord_finder.MIN_LOG_ODDS_AGAIN", cord_finder, "MIN_LOG_ODDS_AGAIN"),
    ("cord_network.MIN_SD_SHARE", cord_network, "MIN_SD_SHARE"),
    ("cord_network.NEIGHBOURHOODS", cord_network, "NEIGHBOURHOODS"),
    ("cord_network.NEIGHBOURS", cord_network, "NEIGHBOURS"),
    ("cord_network.PARTS", cord_network, "PARTS"),
    ("evidence.NOTHING", evidence, "NOTHING"),
    ("second_look.AROUND_MM", second_look, "AROUND_MM"),
    ("second_look.MAX_LOG_ODDS_AGAIN", second_look, "MAX_LOG_ODDS_AGAIN"),
    ("second_look.SHRINKAGES", second_look, "SHRINKAGES"),
    ("second_look.NEAR_CELLS", second_look, "NEAR_CELLS"),
)
_ALONG_HEATMAP: Constants = (
    *_OURS,
    ("cordlesion.preprocess.heatmap_curve.APART_MM", heatmap_curve, "MAP_SPACING_MM"),
    ("cordlesion.preprocess.heatmap_curve.NEIGHBOURHOOD_MM", heatmap_curve, "NEIGHBOURHOOD_MM"),
    ("cordlesion.preprocess.heatmap_curve.CORD", heatmap_curve, "CORD"),
    ("cordlesion.preprocess.heatmap_curve._STRIDE", heatmap_curve, "_STRIDE"),
    ("cordlesion.preprocess.heatmap_curve.MOST_LOG_ODDS", heatmap_curve, "MAX_LOG_ODDS"),
    ("cordlesion.preprocess.heatmap_curve.SMOOTHING_MM", heatmap_curve, "SMOOTHING_MM"),
    ("cordlesion.preprocess.heatmap_curve.STEEPEST", heatmap_curve, "MAX_SLOPE"),
    ("cordlesion.preprocess.heatmap_curve.STIFFNESS", heatmap_curve, "STIFFNESS"),
    ("cordlesion.preprocess.sct_contrast.SEEN_SPACING_MM", sct_contrast, "SEEN_SPACING_MM"),
    ("cordlesion.preprocess.sct_contrast.SEEN_PERCENTILES", sct_contrast, "SEEN_PERCENTILES"),
    ("cordlesion.preprocess.sct_contrast.SEEN_BRIGHTEST", sct_contrast, "SEEN_BRIGHTEST"),
)


def finder_fingerprint(config: PreprocessConfig) -> dict[str, object]:
    """Return everything about a cord finder that changes its curves, as JSON; empty if curves are drawn or not needed.

    If the finder is a network file of the user, the file is an input of the study, and is hashed with the other inputs.
    """
    if config.region != "cord":
        return {}
    if config.guide == NETWORK:
        # The content of the file is hashed as an input; only its name states the contrast.
        contrast = sct_contrast.contrast_of(Path(config.centerline))
        normal = sct_contrast.CENTERLINE_CONTRASTS.get(contrast)
        return {"contrast": [contrast, normal], **_values(_ALONG_HEATMAP)}
    if config.centerline == "auto":
        return {"weights": cord_network.shipped_weights_hash(), **_values(_OF_DETECTOR)}
    return {"sct": sct_version()} if config.centerline == "sct" else {}


def _values(constants: Constants) -> dict[str, object]:
    return {key: str(getattr(module, name)) for key, module, name in constants}
