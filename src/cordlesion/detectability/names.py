"""Names and numbers that the command line shows (leaf, standard library only)."""

import math
from typing import Literal, TypeAlias

DesignName: TypeAlias = Literal["even", "grid", "simulator"]
"""How the sizes and contrasts of implanted lesions are chosen."""
CONTRAST = (1.0, 1.3, 1.5, 1.7, math.inf)
"""Edges of the bands of contrast in which lesions are counted together."""
