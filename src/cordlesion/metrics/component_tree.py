"""Connected components of a probability map at falling thresholds, each level grown from the level above.

Components of ``p >= t`` only grow and merge as t falls (they form a tree, the component tree or max-tree: Salembier
et al., IEEE Trans. Image Process. 1998). So no level is labelled from scratch: its voxels join the components of the
level above, and sizes and overlaps are sums over what merged. Only voxels that some threshold reaches are looked at.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import sparse

from cordlesion.metrics.lesion import Components
from cordlesion.metrics.overlap import IntArray, Overlaps
from cordlesion.metrics.rules import CONNECTIVITY_RANK


@dataclass(frozen=True, eq=False)
class _Voxels:
    """The voxels that any threshold reaches, those of higher thresholds first."""

    depths: npt.NDArray[np.integer]
    """How many of the thresholds each voxel does not reach, rising, shape (V,)."""
    coordinates: tuple[IntArray, ...]
    """Three arrays of shape (V,)."""
    shape: tuple[int, ...]
    """Shape of the volume."""


@dataclass(frozen=True, eq=False)
class _Edges:
    """The pairs of neighbours among them, those that appear at higher thresholds first."""

    depths: npt.NDArray[np.integer]
    """Depth of the lower voxel, rising, shape (E,)."""
    ends: IntArray
    """Numbers of both voxels, shape (2, E)."""


@dataclass(frozen=True, eq=False)
class _Level:
    """The components at one threshold."""

    sizes: IntArray
    """Voxels of each component, shape (C,)."""
    first: IntArray
    """First voxel of each component in C order: components are listed as a labelling of the volume lists them."""
    components: IntArray
    """Component of each pair of component and lesion, shape (P,)."""
    lesions: IntArray
    """Lesion of each pair, from 0, shape (P,)."""
    voxels: IntArray
    """Common voxels of each pair, shape (P,)."""

    def overlaps(self, lesion_sizes: IntArray) -> Overlaps:
        order = np.argsort(self.first)
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        return Overlaps(lesion_sizes, self.sizes[order], self.lesions, rank[self.components], self.voxels)


def overlaps_by_level(
    probability: npt.NDArray[np.float32],
    thresholds: npt.NDArray[np.float32],
    lesions: Components,
    connectivity: int,
) -> list[Overlaps]:
    """Find the components of ``probability >= t`` and their overlaps with lesions, for every threshold t.

    Args:
        probability: Shape (X, Y, Z).
        thresholds: Rising, without repetition, all above the smallest probability; shape (T,).
        lesions: On the same grid.
        connectivity: 6, 18 or 26.

    Returns:
        One per threshold, in the same order; components of every size, in scan order.
    """
    if len(thresholds) == 0:
        return []
    voxels = _reached_voxels(probability, thresholds)
    lesion_of_voxel = lesions.labels[voxels.coordinates].astype(np.int64) - 1
    falling = _grow(voxels, len(thresholds), lesion_of_voxel, connectivity)
    return [level.overlaps(lesions.sizes) for level in falling][::-1]


def _reached_voxels(p: npt.NDArray[np.float32], thresholds: npt.NDArray[np.float32]) -> _Voxels:
    # In the order of the memory, which is Fortran's in NIfTI files: any other is many times slower.
    order: Literal["F", "C"] = "F" if p.flags.f_contiguous else "C"
    values = p.ravel(order=order)
    reached = np.flatnonzero(values >= thresholds[0])
    depths = len(thresholds) - np.searchsorted(thresholds, values[reached], side="right")
    depths = depths.astype(np.min_scalar_type(len(thresholds)))  # sorted by radix in linear time
    rising = np.argsort(depths, kind="stable")
    return _Voxels(depths[rising], np.unravel_index(reached[rising], p.shape, order=order), p.shape)


def _grow(voxels: _Voxels, n_levels: int, lesion_of_voxel: IntArray, connectivity: int) -> Iterator[_Level]:
    """Yield the components of each level, from the highest threshold to the lowest."""
    position = np.ravel_multi_index(voxels.coordinates, voxels.shape)
    edges = _edges(voxels, connectivity)
    # An edge appears with its later voxel. Both are sorted by depth, so that those of a level are a slice.
    stops = [np.bincount(depths, minlength=n_levels).cumsum().tolist() for depths in (voxels.depths, edges.depths)]
    node = np.empty(len(position), dtype=np.int64)
    none = np.zeros(0, dtype=np.int64)
    level, voxel_start, edge_start = _Level(none, none, none, none, none), 0, 0
    for voxel_stop, edge_stop in zip(*stops, strict=True):
        new = slice(voxel_start, voxel_stop)
        node[new] = len(level.sizes) + np.arange(voxel_stop - voxel_start)
        level, merged = _join(level, position[new], lesion_of_voxel[new], node[edges.ends[:, edge_start:edge_stop]])
        node[:voxel_stop] = merged[node[:voxel_stop]]
        yield level
        voxel_start, edge_start = voxel_stop, edge_stop


def _edges(voxels: _Voxels, connectivity: int) -> _Edges:
    # With a margin of one voxel no neighbour lies across a border.
    shape = tuple(n + 2 for n in voxels.shape)
    place = np.ravel_multi_index(tuple(axis + 1 for axis in voxels.coordinates), shape)
    number = np.zeros(math.prod(shape), dtype=np.int32)
    number[place] = np.arange(1, len(place) + 1)
    ends = []
    for step in _half_of_the_neighbours(connectivity):
        neighbour = number[place + np.dot(step, (shape[1] * shape[2], shape[2], 1))]
        found = np.flatnonzero(neighbour)
        ends.append((found, neighbour[found] - 1))
    both = np.concatenate(ends, axis=1)
    depths = voxels.depths[both.max(axis=0)]
    rising = np.argsort(depths, kind="stable")
    return _Edges(depths[rising], both[:, rising])


def _half_of_the_neighbours(connectivity: int) -> list[tuple[int, ...]]:
    rank = CONNECTIVITY_RANK[connectivity]
    steps = itertools.product((-1, 0, 1), repeat=3)
    return [step for step in steps if step > (0, 0, 0) and sum(map(abs, step)) <= rank]


def _join(level: _Level, position: IntArray, lesions: IntArray, edges: IntArray) -> tuple[_Level, IntArray]:
    """Add new voxels to the components of the level above.

    Args:
        level: The level above, of C components.
        position: Of each new voxel in C order, shape (N,).
        lesions: Lesion of each new voxel, from 0, or -1 outside, shape (N,).
        edges: Pairs of neighbours: component c is number c, new voxel k is number C + k; shape (2, E).

    Returns:
        The next level, and the component of each of the C + N numbers.
    """
    n_above, n_new = len(level.sizes), len(position)
    ones = np.ones(n_new, dtype=np.int64)
    graph = sparse.coo_array((np.ones(edges.shape[1]), tuple(edges)), shape=(n_above + n_new,) * 2)
    n, numbers = sparse.csgraph.connected_components(graph, directed=False)
    merged = numbers.astype(np.int64)
    first = np.full(n, np.iinfo(np.int64).max)
    np.minimum.at(first, merged, np.concatenate([level.first, position]))
    inside = np.flatnonzero(lesions >= 0)
    keys, pair = np.unique(
        merged[np.concatenate([level.components, n_above + inside])] << 32
        | np.concatenate([level.lesions, lesions[inside]]),
        return_inverse=True,
    )
    return _Level(
        sizes=_sums(merged, np.concatenate([level.sizes, ones]), n),
        first=first,
        components=keys >> 32,
        lesions=keys & 0xFFFFFFFF,
        voxels=_sums(pair, np.concatenate([level.voxels, ones[: len(inside)]]), len(keys)),
    ), merged


def _sums(groups: npt.NDArray[np.integer], values: IntArray, n: int) -> IntArray:
    """Sum whole numbers by group."""
    return np.bincount(groups, values, minlength=n).astype(np.int64)
