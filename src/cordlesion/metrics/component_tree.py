"""Connected components of a probability map at falling thresholds, all from one spanning tree.

Components of ``p >= t`` only grow and merge as t falls (they form a tree, the component tree or max-tree: Salembier
et al., IEEE Trans. Image Process. 1998). So no level is labelled: a minimum spanning tree of the voxels, in which an
edge weighs as much as the level at which it appears, connects at every level what all edges do (Najman et al., ISMM
2013), and sizes and overlaps are sums over what merged. Only voxels that some threshold reaches are looked at.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import sparse

from cordlesion.io.arrays import Float32Array, IntArray
from cordlesion.io.probability import binarize, count_reached
from cordlesion.metrics.lesion import Components
from cordlesion.metrics.overlap import Overlaps
from cordlesion.metrics.rules import CONNECTIVITY_RANK


@dataclass(frozen=True, eq=False)
class Level:
    """The components of ``p >= t`` at one threshold t."""

    overlaps: Overlaps
    """Of the components with the lesions of the reference."""
    peaks: Float32Array
    """Highest probability in each component, shape (C,)."""


@dataclass(frozen=True, eq=False)
class _Voxels:
    """The voxels that any threshold reaches, those of higher thresholds first."""

    values: Float32Array
    """Their probabilities, shape (V,)."""
    depths: npt.NDArray[np.integer]
    """How many of the thresholds each voxel does not reach, rising, shape (V,)."""
    coordinates: tuple[IntArray, ...]
    """Three arrays of shape (V,)."""
    shape: tuple[int, ...]
    """Shape of the volume."""


@dataclass(frozen=True, eq=False)
class _Merging:
    """Each voxel stands for a component, alone at first, until this merges into the component of another voxel."""

    depths: IntArray
    """The first level at which the voxel stands for none any more: T where it always does; shape (V,)."""
    into: IntArray
    """The voxel that stands for the merged component at that level, shape (V,)."""


@dataclass(frozen=True, eq=False)
class _Pairs:
    """The pairs of component and lesion that share voxels."""

    components: IntArray
    """The voxel that stands for the component, shape (P,)."""
    lesions: IntArray
    """From 0, shape (P,)."""
    voxels: IntArray
    """How many they share, shape (P,)."""


def components_by_level(
    probability: Float32Array,
    thresholds: Float32Array,
    lesions: Components,
    connectivity: int,
) -> list[Level]:
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
    merging = _merging(voxels, len(thresholds), connectivity)
    lesion_of_voxel = lesions.labels[voxels.coordinates].astype(np.int64) - 1
    listed = _components(voxels, merging, len(thresholds))
    common = _pairs(voxels, merging, lesion_of_voxel, len(thresholds))
    rank = np.empty(len(voxels.depths), dtype=np.int64)
    levels = []
    for (numbers, sizes, peaks), pairs in zip(listed, common, strict=True):
        rank[numbers] = np.arange(len(numbers))
        overlaps = Overlaps(lesions.sizes, sizes, pairs.lesions, rank[pairs.components], pairs.voxels)
        levels.append(Level(overlaps, peaks))
    return levels[::-1]


def _reached_voxels(p: Float32Array, thresholds: Float32Array) -> _Voxels:
    # In the order of the memory, which is Fortran's in NIfTI files: any other is many times slower.
    order: Literal["F", "C"] = "F" if p.flags.f_contiguous else "C"
    values = p.ravel(order=order)
    reached = np.flatnonzero(binarize(values, thresholds[0]))
    depths = len(thresholds) - count_reached(values[reached], thresholds)
    depths = depths.astype(np.min_scalar_type(len(thresholds)))  # sorted by radix in linear time
    rising = np.argsort(depths, kind="stable")
    places = reached[rising]
    return _Voxels(values[places], depths[rising], np.unravel_index(places, p.shape, order=order), p.shape)


def _merging(voxels: _Voxels, n_levels: int, connectivity: int) -> _Merging:
    """Say at which level the component of each voxel merges into which."""
    # From the parent on to the next one on the way to the root whose own edge appears later. Those passed by may be
    # left out at once, because none of them has an edge that appears later than that of the one that passes.
    into, depths = _spanning_tree(voxels, n_levels, connectivity)
    passing = np.arange(len(depths) - 1)
    while len(passing := passing[depths[into[passing]] <= depths[passing]]):
        into[passing] = into[into[passing]]
    return _Merging(depths[:-1], into[:-1])


def _spanning_tree(voxels: _Voxels, n_levels: int, connectivity: int) -> tuple[IntArray, IntArray]:
    """Return each voxel's parent in a minimum spanning tree, and at which depth the edge to it appears.

    The last number is the root, which is no voxel: edges to it appear below the lowest level, at depth ``n_levels``.
    """
    n = len(voxels.depths)
    first, second = _neighbours(voxels, connectivity)
    # An edge appears with its later voxel. Weights begin with 1, because 0 stands for no edge.
    weights = np.concatenate([voxels.depths[np.maximum(first, second)] + 1.0, np.full(n, n_levels + 1.0)])
    # scipy before 1.17.1 reads the places of a tree's edges as 32-bit numbers only, which is what it makes of them.
    ends = [np.concatenate(each).astype(np.int32) for each in ((first, np.arange(n)), (second, np.full(n, n)))]
    tree = sparse.csgraph.minimum_spanning_tree(sparse.coo_array((weights, tuple(ends)), shape=(n + 1, n + 1)))
    _, parents = sparse.csgraph.breadth_first_order(tree, n, directed=False)
    parents[n] = n
    edges = tree.tocoo()
    depths = np.full(n + 1, n_levels + 1)
    depths[np.where(parents[edges.row] == edges.col, edges.row, edges.col)] = edges.data - 1
    return parents.astype(np.int64), depths


def _neighbours(voxels: _Voxels, connectivity: int) -> IntArray:
    """Return the numbers of both voxels of each pair of neighbours, shape (2, E)."""
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
    return np.concatenate(ends, axis=1)


def _half_of_the_neighbours(connectivity: int) -> list[tuple[int, ...]]:
    rank = CONNECTIVITY_RANK[connectivity]
    steps = itertools.product((-1, 0, 1), repeat=3)
    return [step for step in steps if step > (0, 0, 0) and sum(map(abs, step)) <= rank]


def _components(voxels: _Voxels, merging: _Merging, n_levels: int) -> Iterator[tuple[IntArray, IntArray, Float32Array]]:
    """Yield the components of each level, from the highest threshold to the lowest: their voxels, sizes and peaks."""
    sizes, highest = np.ones(len(merging.depths), dtype=np.int64), voxels.values.copy()
    # First voxel of each in C order: components are listed as a labelling of the volume lists them.
    first = np.ravel_multi_index(voxels.coordinates, voxels.shape)
    # Voxels that merge at the level that reaches them never stand for a component.
    lasting = np.flatnonzero(voxels.depths < merging.depths)
    for depth, merged in enumerate(_by_depth(merging.depths, n_levels)):
        into = merging.into[merged]
        np.add.at(sizes, into, sizes[merged])
        np.minimum.at(first, into, first[merged])
        np.maximum.at(highest, into, highest[merged])
        standing = lasting[(voxels.depths[lasting] <= depth) & (depth < merging.depths[lasting])]
        standing = standing[np.argsort(first[standing])]
        yield standing, sizes[standing], highest[standing]


def _pairs(voxels: _Voxels, merging: _Merging, lesion_of_voxel: IntArray, n_levels: int) -> Iterator[_Pairs]:
    """Yield the pairs of each level, from the highest threshold to the lowest.

    Args:
        voxels: Shape (V,).
        merging: Of their components.
        lesion_of_voxel: From 0, or -1 outside, shape (V,).
        n_levels: How many there are.
    """
    inside = np.flatnonzero(lesion_of_voxel >= 0)
    none = np.zeros(0, dtype=np.int64)
    pairs = _Pairs(none, none, none)
    for depth, places in enumerate(_by_depth(voxels.depths[inside], n_levels)):
        new = inside[places]
        components = np.concatenate([pairs.components, new])
        merged = merging.depths[components] <= depth
        if len(new) or merged.any():
            components = np.where(merged, merging.into[components], components)
            lesions = np.concatenate([pairs.lesions, lesion_of_voxel[new]])
            shared = np.concatenate([pairs.voxels, np.ones(len(new), dtype=np.int64)])
            keys, counts = _summed(components << 32 | lesions, shared)
            pairs = _Pairs(keys >> 32, keys & 0xFFFFFFFF, counts)
        yield pairs


def _summed(keys: IntArray, counts: IntArray) -> tuple[IntArray, IntArray]:
    """Return each key once, rising, and the sum of its counts; there is at least one."""
    order = np.argsort(keys)
    keys = keys[order]
    first = np.flatnonzero(np.diff(keys, prepend=keys[0] - 1))
    return keys[first], np.add.reduceat(counts[order], first)


def _by_depth(depths: npt.NDArray[np.integer], n_levels: int) -> list[IntArray]:
    """Return the places of each depth."""
    places = np.argsort(depths, kind="stable")
    stops = np.bincount(depths, minlength=n_levels).cumsum()[:n_levels].tolist()
    return [places[start:stop] for start, stop in itertools.pairwise([0, *stops])]
