"""The maps of a trained model on a dataset with known lesions."""

from pathlib import Path

from cordlesion.cord.centerline import centerline_from_cord_mask, read_centerline
from cordlesion.dataset.scan import Scan
from cordlesion.detectability.dataset import LesionDataset
from cordlesion.detectability.masks import Method
from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import Float32Array
from cordlesion.io.progress import track
from cordlesion.io.volume import Volume, read_scan, write_volume
from cordlesion.model.architectures import Predictor
from cordlesion.model.bundle import load_bundle
from cordlesion.prediction import predict_scan
from cordlesion.threshold.rules import GlobalThreshold


def predict_dataset(
    bundle: Path, dataset: LesionDataset, folder: Path, thresholds: tuple[float, ...], own: float | None,
    code: Path | None,
) -> Method:  # fmt: skip
    """Predict all scans of a dataset and write their maps; the cord is that of the dataset, which is exact.

    Raises:
        CordlesionError: The model or a scan cannot be used.
    """
    model = load_bundle(bundle, code)
    are_maps = model.card.built_in_threshold is None
    suffix = "label-lesion_probseg" if are_maps else "label-lesion_mask"
    files = {}
    for scan in track(dataset.scans, "predict", len(dataset.scans)):
        image = read_scan(scan.image)
        files[scan.scan_id] = folder / f"{scan.scan_id}_{suffix}.nii.gz"
        probability = _predict(model, scan, image)
        write_volume(files[scan.scan_id], probability if are_maps else probability >= 0.5, image)
    rule = model.card.threshold if own is None else GlobalThreshold.given(own)
    return Method(files, are_maps, tuple(t for t in thresholds if t > 0), rule, model.card.postprocess)


def _predict(model: Predictor, scan: Scan, image: Volume) -> Float32Array:
    if model.card.cord_settings.region != "cord":
        return predict_scan(model, image, None)
    if scan.centerline is not None:
        return predict_scan(model, image, read_centerline(scan.centerline, image))
    if scan.cord_mask is not None:
        return predict_scan(model, image, centerline_from_cord_mask(scan.cord_mask, image))
    raise CordlesionError(
        f"{scan.image}: has neither centerline nor cord mask in its dataset; one is needed. Make the dataset again."
    )
