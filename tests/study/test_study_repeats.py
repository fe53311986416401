"""A study with rescans: their table against one that is made from the sweep and the masks; and the report's section."""

import shutil

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from cordlesion.config import read_study
from cordlesion.errors import CordlesionError
from cordlesion.io.tables import read_table
from cordlesion.lesions.found_again import count_found_again
from cordlesion.lesions.repeatability import repeatability_rows
from cordlesion.metrics import RULES
from cordlesion.report.sections.repeatability import repeatability_table
from cordlesion.study.run import run_study
from cordlesion.study_folder.results import read_results
from cordlesion.threshold import choose_threshold
from support.tiny import make_cohort

SHIFT = 7.0


def add_rescans(cohort):
    """Give every subject a second session: the same masks, another image, 7 mm farther by its header."""
    rng = np.random.default_rng(0)
    for image in sorted(cohort.glob("sub-*/anat/*_T2w.nii.gz")):
        subject = image.name.split("_")[0]
        for path in [image, *(cohort / "derivatives/labels" / subject / "anat").glob("*.nii.gz")]:
            volume = nib.load(path)
            data = np.asanyarray(volume.dataobj)
            for session in ("1", "2"):
                target = (
                    path.parents[1] / f"ses-{session}" / "anat" / path.name.replace(subject, f"{subject}_ses-{session}")
                )
                target.parent.mkdir(parents=True, exist_ok=True)
                affine = volume.affine.copy()
                affine[2, 3] += SHIFT * (session == "2")
                noisy = data + rng.normal(0, 8, data.shape).astype(data.dtype) if path == image else data
                nib.save(nib.Nifti1Image(noisy, affine), target)
        shutil.rmtree(image.parent)
        shutil.rmtree(cohort / "derivatives/labels" / subject / "anat")
        rows = "ses-1\tbase\nses-2\tbase\n" if subject != "sub-01" else "ses-1\tn/a\nses-2\tn/a\n"
        (cohort / subject / f"{subject}_sessions.tsv").write_text(f"session_id\trepeat\n{rows}")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    file = make_cohort(tmp_path_factory.mktemp("repeats"))
    file.write_text(file.read_text().replace("[bce, tversky]", "[bce]").replace("epochs: 3", "epochs: 2"))
    add_rescans(file.parent / "cohort")
    assert run_study(read_study(file), until="analyze") == {}
    return file.parent / "study"


def test_the_scans_of_a_subject_are_in_one_set(study):
    splits = read_table(study / "splits.tsv")
    assert (splits.groupby("subject")["set"].nunique() == 1).all()
    assert (splits.groupby("subject").size() == 2).all()


def test_rows_are_those_of_the_sweep_at_every_threshold(study):
    table, sweep = read_table(study / "repeatability.tsv"), read_table(study / "sweep.tsv")
    chosen = read_table(study / "thresholds.tsv")["threshold"].item()
    ours = table[table["loss"] == "bce"]
    assert set(ours["set"]) == {"threshold", "test"}
    assert sorted(ours["threshold"].unique()) == sorted(set(sweep["threshold"]) - {0.0})
    assert ours[ours["tuned"]]["threshold"].unique().tolist() == [chosen]
    for (name, t), rows in ours.groupby(["set", "threshold"]):
        scans = sweep[(sweep["set"] == name) & (sweep["threshold"] == t) & (sweep["subject"] != "sub-01")]
        expected = pd.DataFrame(repeatability_rows(scans.assign(group=scans["subject"])))
        for column in ("within_sd", "icc", "smallest_detectable_change", "icc_low", "n_scans"):
            np.testing.assert_allclose(rows[column], expected[column], err_msg=f"{name} {t} {column}")


def found_and_seen(study, set_name, file_of):
    """Lesions found again and those in view, from the files of the pairs of a set."""
    splits = read_table(study / "splits.tsv")
    counts = []
    for _, pair in splits[(splits["set"] == set_name) & (splits["subject"] != "sub-01")].groupby("subject"):
        volumes = [nib.load(file_of(name)) for name in sorted(pair["scan_id"])]
        masks = [np.asanyarray(one.dataobj) > 0 for one in volumes]
        spacings = [tuple(map(float, one.header.get_zooms())) for one in volumes]
        counts.append(count_found_again(masks, [one.affine for one in volumes], spacings, RULES["study"]))
    return np.sum(counts, axis=0)


def test_lesions_found_twice_are_those_of_the_masks_in_the_space_of_their_headers(study):
    table = read_table(study / "repeatability.tsv")
    found, seen = found_and_seen(study, "test", lambda name: next(study.rglob(f"{name}_*_mask.nii.gz")))
    assert 0 < found < seen
    tuned = table[(table["loss"] == "bce") & table["tuned"] & (table["set"] == "test")]
    np.testing.assert_allclose(tuned["found_twice"], found / seen)


def test_the_references_differ_by_nothing_but_their_place(study):
    rows = read_table(study / "repeatability.tsv").query("loss == 'reference masks'")
    assert (rows["within_sd"] == 0).all()
    assert rows["threshold"].isna().all()
    assert set(rows["set"]) == {"threshold", "test"}
    labels = study.parent / "cohort/derivatives/labels"
    for name, of_set in rows.groupby("set"):
        found, seen = found_and_seen(study, name, lambda scan: next(labels.rglob(f"{scan}_label-lesion_seg.nii.gz")))
        assert 0 < found < seen
        np.testing.assert_allclose(of_set["found_twice"], found / seen)


def test_the_report_has_a_row_for_t_at_half_the_tuned_one_and_the_references(study):
    results = read_results(study)
    table = repeatability_table(results)
    assert [group.name for group in table.groups] == ["BCE", "Reference masks"]
    tuned = results.tuned[results.runs[0]]
    assert len(table.groups[0].rows) == (1 if tuned == 0.5 else 2)
    assert "tuned" in {cells[0].detail for cells in table.groups[0].rows}
    assert table.groups[1].rows[0][2].main == "0.00"


def test_done_is_done_and_without_the_column_there_is_no_table(study, tmp_path):
    copy = shutil.copytree(study.parent, tmp_path / "copy")
    made = (copy / "study/runs/bce_seed-0/repeatability.tsv").stat().st_mtime_ns
    run_study(read_study(copy / "study.yaml"), until="analyze")
    assert (copy / "study/runs/bce_seed-0/repeatability.tsv").stat().st_mtime_ns == made
    for path in (copy / "cohort").glob("sub-*/*_sessions.tsv"):
        path.unlink()
    run_study(read_study(copy / "study.yaml"), until="analyze")
    assert not list((copy / "study").rglob("repeatability.tsv"))
    assert read_results(copy / "study").repeatability.empty
    assert repeatability_table(read_results(copy / "study")).groups == ()


def test_the_tables_of_scans_name_the_groups(study):
    for name in ("sweep", "evaluation"):
        table = read_table(study / f"{name}.tsv")
        named = table["subject"] != "sub-01"
        assert (table.loc[named, "repeat"] == table.loc[named, "subject"] + "_repeat-base").all()
        assert (table.loc[~named, "repeat"] == "").all()
    # Those of the runs are as without: nothing is measured again when the dataset states other groups.
    assert "repeat" not in read_table(study / "runs/bce_seed-0/sweep.tsv")


def test_a_study_chooses_by_repeatability_and_again_when_the_dataset_states_other_groups(study, tmp_path):
    copy = shutil.copytree(study.parent, tmp_path / "copy")
    swept = copy / "study/runs/bce_seed-0/sweep.tsv"
    measured, trained = swept.stat().st_mtime_ns, (copy / "study/runs/bce_seed-0/history.tsv").stat().st_mtime_ns
    objective = "repeatability:0.02"
    (copy / "study.yaml").write_text(
        (copy / "study.yaml").read_text() + f"threshold: {{objective: '{objective}', rules: [peak]}}\n"
    )
    run_study(read_study(copy / "study.yaml"))
    assert "ICC of the lesion volume with a mean" in (copy / "study/report.html").read_text()

    def chosen():
        row, sweep = read_table(copy / "study/thresholds.tsv").iloc[0], read_table(copy / "study/sweep.tsv")
        expected = choose_threshold(sweep[sweep["set"] == "threshold"], objective)
        assert (row["threshold"], row["score"], row["basis"]) == (expected.value, expected.score, expected.basis)
        return expected

    first, rules = chosen(), (copy / "study/runs/bce_seed-0/threshold_rules.json").stat().st_mtime_ns
    assert first.n_groups == first.n_subjects
    assert read_results(copy / "study").goal.compares_repeats
    kept = sorted(read_table(copy / "study/splits.tsv").query("set == 'threshold'")["subject"].unique())[:2]
    for path in (copy / "cohort").glob("sub-*/*_sessions.tsv"):
        if path.parent.name not in kept:
            path.write_text(path.read_text().replace("base", "n/a"))
    run_study(read_study(copy / "study.yaml"), until="analyze")
    assert chosen().n_groups == 2
    assert (copy / "study/runs/bce_seed-0/threshold_rules.json").stat().st_mtime_ns > rules
    assert (swept.stat().st_mtime_ns, (copy / "study/runs/bce_seed-0/history.tsv").stat().st_mtime_ns) == (
        measured,
        trained,
    )
    for path in (copy / "cohort").glob("sub-*/*_sessions.tsv"):
        path.unlink()
    with pytest.raises(CordlesionError, match="the set 'threshold' has 0 groups of usable scans that repeat each"):
        run_study(read_study(copy / "study.yaml"), until="split")
    assert chosen().n_groups == 2  # the finished study is left as it is
