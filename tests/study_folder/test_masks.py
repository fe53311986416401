from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cordlesion.errors import CordlesionError
from cordlesion.io.volume import read_probability, write_volume
from cordlesion.study_folder.masks import cut_mask, read_with_reference
from cordlesion.study_folder.results import StudyResults, read_results
from cordlesion.study_folder.runs import Run


def first_scan(results: StudyResults) -> str:
    return next(scan for scan, files in results.manifest["scans"].items() if files["reference"])


def test_a_mask_is_the_map_cut_where_it_was_tuned_or_where_one_asks(results: StudyResults) -> None:
    scan_id, run = first_scan(results), results.best
    scan, reference = read_with_reference(results, scan_id)
    probability = read_probability(results.folder.probability(scan_id, results.maps_name(run)), like=scan).data
    np.testing.assert_array_equal(cut_mask(results, scan_id, run, scan), probability >= results.tuned[run])
    np.testing.assert_array_equal(cut_mask(results, scan_id, run, scan, 0.5), probability >= 0.5)
    assert reference.data.any()


def test_masks_that_were_given_are_read_as_they_are(study_copy: Path) -> None:
    results = read_results(study_copy)
    scan_id = first_scan(results)
    scan, reference = read_with_reference(results, scan_id)
    given = Run("hard", None)
    path = results.folder.probability(scan_id, "hard")
    write_volume(path.with_name(path.name.replace("_probseg", "_mask")), reference.data.astype(np.uint8), scan)
    np.testing.assert_array_equal(cut_mask(results, scan_id, given, scan), reference.data > 0)


def test_what_is_missing_is_named_with_the_stage_that_makes_it(results: StudyResults) -> None:
    scan_id = first_scan(results)
    scan, _ = read_with_reference(results, scan_id)
    unknown = replace(results, manifest={**results.manifest, "scans": {}})
    with pytest.raises(CordlesionError, match=r"does not say where .* stage `split`"):
        read_with_reference(unknown, scan_id)
    with pytest.raises(CordlesionError, match=r"probseg.nii.gz: no such probability map.*stage `evaluate`"):
        cut_mask(results, "sub-none", results.best, scan)


@pytest.mark.parametrize("place", [{}, ["a.nii.gz"], 1, ""])
@pytest.mark.parametrize("kind", ["image", "reference"])
def test_a_place_in_the_manifest_that_is_no_path_gets_a_sentence(
    results: StudyResults, kind: str, place: object
) -> None:
    scan_id = first_scan(results)
    files = {**results.manifest["scans"][scan_id], kind: place}
    damaged = replace(results, manifest={**results.manifest, "scans": {scan_id: files}})
    with pytest.raises(CordlesionError, match=r"manifest.json: does not say where"):
        read_with_reference(damaged, scan_id)
