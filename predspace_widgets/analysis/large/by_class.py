"""Sums by class: what the first pass over large predictions keeps of each class, so that classes need no pass more.

Distances, distances to the geodesic, accuracy and squared steps are means over samples. `Measurements.distances`
computes them in one pass, class by class, and keeps each class's share of the mean on disk (see `kept`) as float32: a
class, or several, are then answered by adding shares. Progress is no mean, so the pass also keeps the overlaps of each
sample with ignorance and truth, all that progress depends on.

All of it may take a quarter of the memory that the predictions would need; else it is not kept.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from predspace_widgets.analysis.large.kept import Results
from predspace_widgets.geometry.probabilities import Array

#: What is computed of some samples: from their predictions (T, n, C) and their places (n,), as the mean over them.
OfMembers = Callable[[NDArray[Any], NDArray[np.intp]], Array]

# Predictions that are read at a time, as they are stored: enough samples of each class that the work for each pair of
# checkpoints is more than its logarithm.
_BYTES = 2**29
# The most that is kept, as a share of the predictions' size in memory.
_SHARE = 1 / 4
_log = logging.getLogger(__name__)


class SumsByClass:
    """Shares of each class in means over all samples, kept on disk while they are computed.

    Parameters
    ----------
    results : Results
    labels : array of int, shape (N,)
    n_checkpoints : int
    sizes : mapping of str to int
        How many numbers each mean has. The first is kept by itself, the others together.
    edges : sequence of int
        First samples of the blocks that are read at a time, and N.
    """

    def __init__(
        self,
        results: Results,
        labels: NDArray[Any],
        n_checkpoints: int,
        sizes: Mapping[str, int],
        edges: Sequence[int],
    ) -> None:
        self._results, self._labels, self._n_checkpoints = results, labels, n_checkpoints
        self._edges = list(edges)
        digest = hashlib.blake2b(repr((self._edges, dict(sizes))).encode(), digest_size=4).hexdigest()
        first, *others = sizes
        self._groups = {f"by-class.{digest}.first": [first], f"by-class.{digest}.others": others}
        self._sizes = dict(sizes)
        self._ends_name = f"by-class.{digest}.ends"
        self._done_name = f"by-class.{digest}.done"
        self._is_complete = False

    @property
    def is_complete(self) -> bool:
        """Whether the pass was finished, now or by an earlier process."""
        self._is_complete = self._is_complete or self._results.has(self._done_name)
        return self._is_complete

    def measure(
        self, lazy: da.Array, of_members: Mapping[str, OfMembers], ends: OfMembers, show_progress: bool = True
    ) -> None:
        """Pass over the predictions, or over what an earlier pass that was stopped has left.

        Parameters
        ----------
        lazy : dask array (T, N, C)
            One chunk of checkpoints and classes.
        of_members : mapping of str to function
            What is computed for each mean.
        ends : function
            Gives the overlaps with ignorance and truth, (T, n, 2).

        Raises
        ------
        StoreChangedError
        OSError
            Something cannot be kept, or what was kept is gone.
        """
        for name, members in self._groups.items():
            self._results.begin(name, _n_rows(self._labels), self._size(members) + 1, "float32")
        counts = {name: self._counts(name) for name in self._groups}
        blocks = list(enumerate(itertools.pairwise(self._edges)))
        hidden = not show_progress or len(blocks) < 2
        for number, (start, stop) in track(blocks, "distances", disable=hidden, transient=True):
            missing = {
                name: [k for k in np.unique(self._labels[start:stop]).tolist() if counts[name][k] <= number]
                for name in self._groups
            }
            if not any(missing.values()) and self._results.has(self._ends_of(number)):
                continue
            block = np.asarray(lazy[:, start:stop].compute(scheduler="threads"))  # (T, n, C)
            self._results.source.check_unchanged()
            self._keep_ends(block, number, ends)
            for name, classes in missing.items():
                for k in classes:
                    self._add(name, k, number, block, of_members)
                    counts[name][k] = number + 1
        self._results.write(self._done_name, np.ones(1))

    def shares(self, name: str, classes: Sequence[int] | None = None) -> Array | None:
        """The sum of the shares of some classes, by default of all, in the mean of a name; None where it is not kept.

        Of all it is the mean over samples.
        """
        if name not in self._sizes or not self.is_complete:
            return None
        group, members = next(item for item in self._groups.items() if name in item[1])
        start = self._size(members[: members.index(name)])
        total = np.zeros(self._sizes[name])
        for k in sorted(set(self._labels.tolist() if classes is None else classes)):
            row = self._results.part(group, k)
            if row is None:
                return None
            total += row[start : start + self._sizes[name]]
        return total

    def overlaps_with_ends(self, places: NDArray[np.intp]) -> NDArray[np.float32] | None:
        """Overlaps (T, n, 2) of some samples, in order, with ignorance and truth; None where they are not kept."""
        if not self.is_complete:
            return None
        found = np.empty((self._n_checkpoints, len(places), 2), np.float32)
        for number, (start, stop) in enumerate(itertools.pairwise(self._edges)):
            first, last = np.searchsorted(places, [start, stop])
            if first == last:
                continue
            part = self._results.part(self._ends_of(number))
            if part is None:
                return None
            found[:, first:last] = part.reshape(self._n_checkpoints, -1, 2)[:, places[first:last] - start]
        return found

    def _size(self, members: Sequence[str]) -> int:
        return sum(self._sizes[name] for name in members)

    def _ends_of(self, number: int) -> str:
        return f"{self._ends_name}.{number}"

    def _counts(self, name: str) -> dict[int, int]:
        """How many blocks are in the share of each class; a share that is damaged has none."""
        counts = {}
        for k in np.unique(self._labels).tolist():
            row = self._results.part(name, k)
            counts[k] = 0 if row is None else int(row[-1])
        return counts

    def _add(self, name: str, k: int, number: int, block: NDArray[Any], of_members: Mapping[str, OfMembers]) -> None:
        """Add what a block has of a class to its share; how many blocks are in it is written in the same file."""
        start, stop = self._edges[number : number + 2]
        members = np.flatnonzero(self._labels[start:stop] == k)
        some = block[:, members]  # (T, n, C)
        weight = len(members) / len(self._labels)
        row = np.zeros(self._size(self._groups[name]) + 1, np.float32)
        before = np.unique(self._labels[:start])
        if k in before:
            kept = self._results.part(name, k)
            if kept is None:
                raise OSError(f"{self._results.url}/{name} was deleted")
            row[:] = kept
        values = [of_members[member](some, start + members).ravel() for member in self._groups[name]]
        row[:-1] += weight * np.concatenate(values)
        row[-1] = number + 1
        self._results.put(name, row, k)

    def _keep_ends(self, block: NDArray[Any], number: int, ends: OfMembers) -> None:
        name, (start, stop) = self._ends_of(number), self._edges[number : number + 2]
        if not self._results.has(name):
            values = ends(block, np.arange(start, stop)).astype(np.float32).ravel()
            self._results.begin(name, 1, len(values), "float32")
            self._results.put(name, values)


def edges_of_blocks(lazy: da.Array) -> list[int]:
    """First samples of blocks of up to 512 MB as they are stored, and the number of all samples."""
    of_a_sample = lazy.dtype.itemsize * lazy.shape[0] * lazy.shape[2]
    most = max(1, _BYTES // max(of_a_sample, 1))
    edges = [0]
    reached = 0
    for size in lazy.chunks[1]:
        if reached > edges[-1] and reached + size - edges[-1] > most:
            edges.append(reached)
        reached += size
    return [*edges, reached]


def is_small_enough(labels: NDArray[Any], n_checkpoints: int, sizes: Mapping[str, int], n_bytes: int) -> bool:
    """Whether sums by class, and overlaps of each sample, take no more than a quarter of the predictions' bytes."""
    n_classes = len(np.unique(labels))
    needed = 4 * (n_classes * sum(sizes.values()) + 2 * n_checkpoints * len(labels))
    if needed > _SHARE * n_bytes:
        _log.warning(
            "sums by class are not kept, so that each choice of classes reads the predictions: they would take "
            "%.2f GB, more than a quarter of %.2f GB",
            needed / 1e9,
            n_bytes / 1e9,
        )
        return False
    return True


def _n_rows(labels: NDArray[Any]) -> int:
    """How many rows an array by class has."""
    return int(labels.max()) + 1
