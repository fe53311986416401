"""Plans a cohort: its subjects and their scans, in the proportions of Hussein et al. at any size."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cordlesion.simulate.acquisition import Plane, Region
from cordlesion.simulate.anatomy import Person
from cordlesion.simulate.domain import Domain
from cordlesion.simulate.randomness import keyed_rng
from cordlesion.simulate.scan import ScanPlan

PAPER_SCANS, PAPER_SUBJECTS, PAPER_SITES = 161, 108, 13
PAPER_LESION_FREE, PAPER_WOMEN = 46, 86
AGE_MEAN, AGE_SD, AGE_RANGE = 35.84, 10.42, (18.0, 66.0)
MIXED_SHARE = 0.05
"""Share of subjects without lesions at the first visit and with lesions at a later one."""

Protocol = tuple[int, Plane, Region]
"""Session, plane and region of one scan."""
SINGLE: tuple[tuple[tuple[Plane, Region], float], ...] = (
    (("sagittal", "cervical"), 0.62), (("sagittal", "cervicothoracic"), 0.18), (("sagittal", "thoracic"), 0.06),
    (("axial", "cervical"), 0.14),
)  # fmt: skip
"""Protocols of subjects with one scan, and their shares."""
PAIRS: tuple[tuple[tuple[Protocol, ...], float], ...] = (
    (((1, "sagittal", "cervical"), (1, "sagittal", "thoracic")), 0.40),
    (((1, "sagittal", "cervical"), (2, "sagittal", "cervical")), 0.35),
    (((1, "sagittal", "cervical"), (1, "axial", "cervical")), 0.15),
    (((1, "sagittal", "cervicothoracic"), (2, "sagittal", "cervicothoracic")), 0.10),
)
"""Protocols of subjects with two scans, and their shares; a third scan is another visit."""

VARIED: tuple[tuple[tuple[Plane, Region], float], ...] = (
    (("sagittal", "cervical"), 0.40), (("sagittal", "cervicothoracic"), 0.20), (("sagittal", "thoracic"), 0.20),
    (("axial", "cervical"), 0.20),
)  # fmt: skip
"""Protocols in the varied domain, and their shares."""
VARIED_LESION_FREE = 0.4


@dataclass(frozen=True)
class SubjectPlan:
    """One subject and the scans to simulate."""

    index: int
    site: int
    person: Person
    protocols: tuple[Protocol, ...]
    lesion_free: tuple[bool, ...]
    """For each scan, whether its reference is empty."""
    domain: Domain = "clinical"

    def scans(self, seed: int) -> tuple[ScanPlan, ...]:
        """Return the plan of each scan."""
        with_lesions = tuple(
            (number, plane, region)
            for number, (_, plane, region) in enumerate(self.protocols)
            if not self.lesion_free[number]
        )
        return tuple(
            ScanPlan(
                *(seed, self.index, number, self.site, self.person, session, plane, region, free, with_lesions),
                domain=self.domain,
            )
            for number, ((session, plane, region), free) in enumerate(
                zip(self.protocols, self.lesion_free, strict=True)
            )
        )


def plan_cohort(scans: int, seed: int, domain: Domain = "clinical") -> tuple[SubjectPlan, ...]:
    """Plan a cohort; 161 scans give 108 subjects, 13 sites, 86 women and 46 scans without lesions.

    In the varied domain, every scan is of another subject at another site, and two of five have no lesions.
    """
    if domain == "varied":
        return _plan_varied(scans, seed)
    rng = keyed_rng("cohort", seed, scans)
    subjects = min(scans, max(1, round(scans * PAPER_SUBJECTS / PAPER_SCANS)))
    protocols = [_protocols(rng, count) for count in _scans_per_subject(rng, scans, subjects)]
    free = _lesion_free(rng, protocols, round(scans * PAPER_LESION_FREE / PAPER_SCANS))
    sites = _sites(rng, subjects)
    people = _people(rng, subjects)
    return tuple(SubjectPlan(i, sites[i], people[i], protocols[i], free[i], domain) for i in range(subjects))


def _plan_varied(scans: int, seed: int) -> tuple[SubjectPlan, ...]:
    rng = keyed_rng("varied cohort", seed, scans)
    protocols = rng.choice(len(VARIED), scans, p=[share for _, share in VARIED])
    free = rng.permutation(scans) < round(VARIED_LESION_FREE * scans)
    return tuple(
        SubjectPlan(i, i, person, ((1, *VARIED[protocols[i]][0]),), (bool(free[i]),), "varied")
        for i, person in enumerate(_people(rng, scans))
    )


def _scans_per_subject(rng: np.random.Generator, scans: int, subjects: int) -> list[int]:
    """Draw the number of scans of each subject, from one to three."""
    counts = np.ones(subjects, dtype=int)
    for _ in range(scans - subjects):
        # A third scan is rarer than a second one.
        weight = np.array([0.0, 1.0, 0.15, 0.0])[counts]
        counts[rng.choice(subjects, p=weight / weight.sum())] += 1
    return [int(count) for count in counts]


def _protocols(rng: np.random.Generator, count: int) -> tuple[Protocol, ...]:
    if count == 1:
        plane, region = SINGLE[rng.choice(len(SINGLE), p=[share for _, share in SINGLE])][0]
        return ((1, plane, region),)
    pair = PAIRS[rng.choice(len(PAIRS), p=[share for _, share in PAIRS])][0]
    if count == 2:
        return pair
    return (*pair, (pair[-1][0] + 1, pair[0][1], pair[0][2]))


def _lesion_free(
    rng: np.random.Generator, protocols: Sequence[tuple[Protocol, ...]], wanted: int
) -> list[tuple[bool, ...]]:
    """Choose ``wanted`` lesion-free scans: the first visit of some subjects, and all scans of others."""
    order = rng.permutation(len(protocols))
    free = [(False,) * len(scans) for scans in protocols]
    mixed = round(MIXED_SHARE * len(protocols))
    left = wanted
    for i in order:
        first = tuple(session == 1 for session, _, _ in protocols[i])
        if mixed and not all(first) and sum(first) <= left:
            free[i], mixed, left = first, mixed - 1, left - sum(first)
        elif len(first) <= left and rng.random() < 0.5:
            free[i], left = (True,) * len(first), left - len(first)
    for i in order:
        if not any(free[i]) and len(free[i]) <= left:
            free[i], left = (True,) * len(free[i]), left - len(free[i])
    return free


def _sites(rng: np.random.Generator, subjects: int) -> list[int]:
    """Draw the site of each subject; sites differ in size. There is one site per three subjects, at most 13."""
    count = min(PAPER_SITES, max(1, -(-subjects // 3)))
    weight = rng.gamma(2.0, 1.0, count) + 0.3
    rest = rng.choice(count, subjects - count, p=weight / weight.sum())
    return [int(site) for site in rng.permutation(np.concatenate([np.arange(count), rest]))]


def _people(rng: np.random.Generator, subjects: int) -> list[Person]:
    ages = rng.standard_normal(subjects)
    if subjects > 2:
        ages = (ages - ages.mean()) / ages.std(ddof=1)
    women = round(subjects * PAPER_WOMEN / PAPER_SUBJECTS)
    sexes = rng.permutation(["F"] * women + ["M"] * (subjects - women))
    ages = np.clip(AGE_MEAN + AGE_SD * ages, *AGE_RANGE)
    return [Person(round(float(age), 1), str(sex)) for age, sex in zip(ages, sexes, strict=True)]
