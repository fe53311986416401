import numpy as np
import pytest

from cordlesion.statistics import ScoreComponents, estimate_components

TRUE = {
    "subject": 0.2,
    "scan": 0.1,
    "loss_subject": 0.08,
    "loss_scan": 0.05,
    "seed": 0.06,
    "seed_subject": 0.04,
    "residual": 0.1,
}
"""Standard deviations."""


def simulate(rng, n_losses, n_seeds, sizes, sd):
    """Scores of each loss, shape (seeds, scans), and the subject of each scan."""
    owner = np.repeat(np.arange(len(sizes)), sizes)
    common = rng.normal(0, sd["subject"], len(sizes))[owner] + rng.normal(0, sd["scan"], len(owner))
    scores = []
    for _ in range(n_losses):
        loss = (
            common + rng.normal(0, sd["loss_subject"], len(sizes))[owner] + rng.normal(0, sd["loss_scan"], len(owner))
        )
        scores.append(
            np.stack(
                [
                    loss
                    + rng.normal(0, sd["seed"])
                    + rng.normal(0, sd["seed_subject"], len(sizes))[owner]
                    + rng.normal(0, sd["residual"], len(owner))
                    for _ in range(n_seeds)
                ]
            )
        )
    return scores, owner


def test_components_are_those_of_the_simulation_on_average():
    rng = np.random.default_rng(0)
    found = [estimate_components(*simulate(rng, 5, 3, rng.integers(1, 4, 25), TRUE)) for _ in range(300)]
    for name, sd in TRUE.items():
        values = [getattr(one, name) for one in found]
        error = np.std(values) / np.sqrt(len(values))
        # What would be negative is 0, which raises small components a little.
        assert np.mean(values) == pytest.approx(sd**2, abs=4 * error + 1e-4), name


def test_with_one_scan_of_each_subject_all_is_between_subjects():
    found = estimate_components(*simulate(np.random.default_rng(0), 4, 3, np.ones(400, int), TRUE))
    assert (found.scan, found.loss_scan, found.residual) == (0, 0, 0)
    assert found.loss_subject == pytest.approx(0.08**2 + 0.05**2, rel=0.15)
    assert found.seed_subject == pytest.approx(0.04**2 + 0.1**2, rel=0.1)


def test_with_one_seed_its_noise_is_unknown_and_no_plan_is_made():
    found = estimate_components(*simulate(np.random.default_rng(0), 4, 1, np.full(50, 2), TRUE))
    assert found.seed is None
    assert found.loss_scan == pytest.approx(0.05**2 + 0.1**2, rel=0.3)
    with pytest.raises(ValueError, match="unknown"):
        found.plan(n_losses=4, n_seeds=3)


def test_unequal_seed_noise_is_distinguished_from_chance():
    rng = np.random.default_rng(3)
    equal = [estimate_components(*simulate(rng, 7, 5, np.ones(20, int), TRUE)).seed_inequality for _ in range(100)]
    noise = np.array([0.02, 0.02, 0.02, 0.12, 0.02, 0.06, 0.06])
    unequal = []
    for _ in range(100):
        scores, owner = simulate(rng, 7, 5, np.ones(20, int), TRUE | {"seed": 0.0})
        luck = [rng.normal(0, sd, (5, 1)) for sd in noise]
        found = estimate_components([one + more for one, more in zip(scores, luck, strict=True)], owner)
        unequal.append(found.seed_inequality)
    true = np.var(noise**2, ddof=1) / np.mean(noise**2) ** 2
    assert np.median(equal) < 0.1
    assert np.median(unequal) == pytest.approx(true, rel=0.5)


def test_equal_scores_have_no_variance():
    found = estimate_components([np.full((2, 6), 0.5)] * 3, np.arange(6) // 2)
    assert (found.subject, found.loss_subject, found.loss_scan, found.seed, found.residual) == (0, 0, 0, 0, 0)


@pytest.mark.parametrize(("n_losses", "n_subjects"), [(1, 5), (3, 1)])
def test_too_small_a_study_is_refused(n_losses, n_subjects):
    with pytest.raises(ValueError, match="two of each"):
        estimate_components([np.zeros((2, n_subjects))] * n_losses, np.arange(n_subjects))


def test_true_needed_subjects_are_within_the_ends_of_the_interval():
    """Of simulated pilots, at least 8 of 10 have an interval that holds what the true variances need."""
    rng = np.random.default_rng(5)
    true = ScoreComponents(
        **{name: sd**2 for name, sd in (TRUE | {"seed": 0.03}).items()},
        n_losses=7,
        n_seeds=3,
        n_subjects=20,
        n_scans=26,
    ).plan(n_losses=7, n_seeds=5)
    wanted = true.needed(0.12, level=0.05 / 6)
    held = []
    for _ in range(30):
        sizes = np.where(np.arange(20) < 6, 2, 1)
        pilot = estimate_components(*simulate(rng, 7, 3, sizes, TRUE | {"seed": 0.03}))
        ends = [pilot.at(share).plan(n_losses=7, n_seeds=5).needed(0.12, level=0.05 / 6) for share in (0.1, 0.9)]
        held.append(ends[0] is not None and ends[0] <= wanted and (ends[1] is None or wanted <= ends[1]))
    assert np.mean(held) >= 0.8
