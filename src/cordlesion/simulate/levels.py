"""Tables by vertebral level and their interpolation along the cord.

Sources: cord of 58 and canal of 203 healthy adults (Valosek & Bedard 2024, Imaging Neuroscience, 10.1162/imag_a_00075);
dural sac, gaps and level lengths from the PAM50 template (De Leener 2018). ``lesions`` is the relative density of
lesions along the cord: 58 % are in the neck (Bot 2004: 56 %), with the peak at C3-C4 (Bussas 2022). Vertebral body
depth is approximate.
"""

from typing import NamedTuple

import numpy as np

from cordlesion.io.arrays import Array


class Level(NamedTuple):
    """One vertebral level, from disc to disc; lengths in mm, areas in mm2."""

    name: str
    length: float
    cord_area: float
    cord_ap: float
    cord_rl: float
    sac_ap: float
    sac_rl: float
    gap_anterior: float
    """CSF in front of the cord."""
    gap_posterior: float
    grey_area: float
    grey_ap: float
    grey_rl: float
    body_depth: float
    """Depth of the vertebral body from front to back."""
    body_width: float
    disc_height: float
    lesions: float
    """Relative number of lesions per mm of cord."""


# fmt: off
LEVELS = (
    #     name  length area  AP   RL    sac AP RL   gaps     grey area AP RL  body d  w   disc lesions
    Level("C1", 23.0, 78.5, 8.7, 11.4, 17.7, 22.8, 4.1, 5.6, 14.0, 4.0, 6.5, 11.0, 11.0, 1.0, 0.80),
    Level("C2", 15.5, 70.7, 7.8, 11.6, 14.4, 20.7, 4.5, 2.3, 13.4, 4.0, 6.5, 15.0, 16.0, 3.6, 1.30),
    Level("C3", 18.5, 70.4, 7.4, 12.0, 13.3, 19.2, 3.8, 2.0, 14.8, 4.0, 6.8, 15.0, 18.0, 4.0, 1.50),
    Level("C4", 18.5, 74.3, 7.4, 12.7, 13.1, 18.7, 3.3, 2.3, 15.0, 4.0, 7.2, 15.5, 19.0, 4.0, 1.50),
    Level("C5", 16.5, 72.3, 7.3, 12.6, 12.6, 18.4, 3.1, 2.1, 14.5, 4.0, 7.5, 15.5, 20.0, 4.1, 1.20),
    Level("C6", 15.5, 65.1, 6.9, 12.0, 12.7, 17.5, 3.9, 2.1, 13.7, 4.0, 7.2, 16.0, 21.0, 4.2, 1.00),
    Level("C7", 17.0, 54.0, 6.4, 10.6, 13.5, 17.3, 4.6, 2.8, 10.3, 3.6, 6.3, 16.5, 23.0, 4.2, 0.90),
    Level("T1", 21.5, 46.0, 6.3,  9.3, 13.2, 15.6, 4.6, 2.7,  7.7, 3.2, 5.0, 17.0, 25.0, 4.0, 0.75),
    Level("T2", 23.0, 42.4, 6.1,  8.7, 12.9, 14.3, 3.3, 3.6,  7.2, 3.0, 4.5, 18.0, 25.0, 3.8, 0.70),
    Level("T3", 23.0, 38.8, 5.9,  8.3, 12.7, 13.9, 2.4, 4.3,  7.0, 3.0, 4.5, 19.0, 24.0, 3.6, 0.33),
    Level("T4", 24.5, 36.3, 5.7,  8.0, 12.2, 13.4, 1.7, 4.5,  6.7, 3.0, 4.5, 20.5, 24.0, 3.6, 0.30),
    Level("T5", 25.5, 35.1, 5.6,  7.8, 12.0, 13.4, 1.2, 4.8,  7.0, 3.0, 4.5, 22.0, 25.0, 4.0, 0.30),
    Level("T6", 25.5, 34.9, 5.7,  7.7, 12.3, 13.7, 1.5, 4.9,  7.0, 3.0, 4.5, 23.5, 26.0, 4.4, 0.30),
    Level("T7", 26.5, 35.6, 5.8,  7.7, 12.8, 13.6, 2.6, 4.6,  6.8, 3.0, 4.5, 25.0, 27.0, 4.8, 0.30),
    Level("T8", 27.0, 37.3, 6.1,  7.8, 13.2, 13.8, 2.9, 4.5,  6.6, 3.0, 4.5, 26.0, 28.0, 5.2, 0.30),
    Level("T9", 26.5, 39.3, 6.3,  7.9, 12.9, 14.0, 2.9, 4.1,  7.1, 3.0, 4.5, 27.0, 29.0, 5.6, 0.30),
    Level("T10", 29.0, 42.5, 6.5, 8.2, 13.1, 14.5, 3.2, 3.8,  8.0, 3.2, 4.8, 28.0, 31.0, 6.2, 0.30),
    Level("T11", 31.5, 48.8, 7.0, 8.7, 14.3, 15.7, 4.4, 3.7, 12.0, 3.6, 5.4, 29.0, 34.0, 6.6, 0.25),
    Level("T12", 31.5, 46.5, 6.7, 8.2, 15.7, 17.4, 7.1, 2.9, 12.0, 3.6, 5.6, 30.0, 37.0, 7.0, 0.18),
    Level("L1", 33.0, 19.0, 4.4, 5.2, 16.5, 19.0, 9.5, 2.6,  6.0, 2.4, 3.4, 31.0, 39.0, 8.0, 0.0),
    Level("L2", 34.0,  2.0, 1.4, 1.8, 16.5, 20.0, 11.5, 3.6, 0.5, 0.8, 1.0, 32.0, 41.0, 9.0, 0.0),
)
# fmt: on

NAMES = tuple(level.name for level in LEVELS)
BOUNDARIES_MM: Array = np.concatenate([[0.0], np.cumsum([level.length for level in LEVELS])])
"""Position of the top of each level, and of the end of the last, along the cord from the top of C1."""
CENTRES_MM: Array = (BOUNDARIES_MM[:-1] + BOUNDARIES_MM[1:]) / 2


def column(field: str) -> Array:
    """Return one column of the table, one value per level."""
    return np.array([getattr(level, field) for level in LEVELS], dtype=np.float64)


def along(field: str, s_mm: Array) -> Array:
    """Interpolate a column between the centres of levels, at positions ``s_mm`` along the cord."""
    return np.interp(s_mm, CENTRES_MM, column(field))


def top_mm(name: str) -> float:
    """Return the position of the top of a level along the cord; ``top_mm("T1")`` is the end of the neck."""
    return float(BOUNDARIES_MM[NAMES.index(name)])


def centre_mm(name: str) -> float:
    """Return the position of the middle of a level along the cord."""
    return float(CENTRES_MM[NAMES.index(name)])


def level_index(s_mm: Array) -> Array:
    """Return the row of the table for each position; positions beyond the table get its first or last row."""
    return np.clip(np.searchsorted(BOUNDARIES_MM, s_mm, side="right") - 1, 0, len(LEVELS) - 1)
