"""The simulations that validate the statistics: scores follow the design, and false verdicts are rare."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cordlesion.statistics import compare_losses, holm

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def calibration(monkeypatch):
    """The modules that simulate scores, test them and format rows."""
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    from calibration import generators, rows, verdicts

    return generators, verdicts, rows


def test_scores_have_the_gap_and_the_seed_noise_of_the_design(calibration):
    generators, _, _ = calibration
    design = generators.Design(generators.owners(26, 20), (0.05, 0.1), (0.2, 0.0), 40)
    rng = np.random.default_rng(0)
    scores = generators.f1_scores(rng, design, generators.draw_luck(rng, 300, design))
    means = scores.mean(axis=(0, 2, 3))
    assert means[1] == pytest.approx(0.4, abs=0.01)
    assert means[0] - means[1] == pytest.approx(0.2, abs=0.01)
    assert scores[:, 1].std() == pytest.approx(0.22, abs=0.01)
    assert (scores[:, 1] == 0).mean() == pytest.approx(generators.ZEROS, abs=0.01)
    equal = generators.Design(design.owners, (0.1, 0.1), (0.0, 0.0), 40)
    scores = generators.f1_scores(rng, equal, generators.draw_luck(rng, 300, equal))
    assert scores.mean(axis=-1).std(axis=2, ddof=1).mean() == pytest.approx(0.1, abs=0.01)


def test_the_simulation_gives_the_verdicts_of_the_package(calibration):
    generators, verdicts, _ = calibration
    design = generators.Design(generators.owners(14, 10), (0.05,) * 3, (0.1, 0.0, 0.0), 3)
    rng = np.random.default_rng(1)
    scores = generators.f1_scores(rng, design, generators.draw_luck(rng, 4, design))
    judged = verdicts.judge(
        list(np.moveaxis(generators.subject_means(scores, design.owners), 1, 0)), trained=[True] * 3
    )
    mine = judged.with_picked(np.zeros(4, dtype=np.int64))
    for study, losses in enumerate(scores):
        places = np.argwhere(np.ones(losses.shape))
        table = pd.DataFrame(places, columns=["loss", "seed", "scan_id"]).assign(f1=losses.ravel())
        table = table.assign(subject=design.owners[table["scan_id"]], loss="loss-" + table["loss"].astype(str))
        pairs = compare_losses(table, "f1", recommended="loss-0")
        assert judged.p_value[study].tolist() == pytest.approx(pairs["p_value"].tolist())
        assert judged.low[study].tolist() == pytest.approx(pairs["low"].tolist())
        corrected = verdicts.holm(judged.p_value, mine)[study, :2]
        assert corrected.tolist() == pytest.approx(holm(judged.p_value[study, :2]).tolist())
        assert corrected.tolist() == pytest.approx(pairs["p_holm"].iloc[:2].tolist())


def test_few_studies_of_every_design_give_a_table(calibration):
    _, verdicts, rows = calibration
    found = verdicts.rows(np.random.default_rng(2), n_studies=40)
    false = [row.share for row in found if row.figure == "any pair" and row.design.startswith("7 losses")]
    assert len(false) > 30
    assert np.mean(false) <= 0.05
    text = rows.print_rows(found)
    assert text.count("\n## ") == 2
    assert "| 7 losses, 3 seeds, 26 scans of 20 subjects, seed SD 0.05 | " in text


def test_a_missed_target_is_marked(calibration):
    _, _, rows = calibration
    missed = rows.measured("a question", "a design", "false", np.repeat([1, 0], 50), most=0.05)
    met = rows.measured("a question", "a design", "power", np.ones(10), least=0.8)
    assert (missed.is_met, met.is_met) == (False, True)
    assert "| a design | 50.0 (5.0) * | 100.0 (0.0) |" in rows.print_rows([missed, met])
    assert rows.measured("a question", "a design", "else", [1, 0]).is_met is None
