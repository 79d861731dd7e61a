"""Seeded synthetic trajectories whose answers are known, for tests, notebooks and demonstrations."""

from __future__ import annotations

import numpy as np
import xarray as xr

from predspace_widgets.geometry import geodesic, ignorance, truth
from predspace_widgets.geometry.probabilities import Array
from predspace_widgets.trajectories.build import make_trajectories


def geodesic_run(n_checkpoints: int = 5, n_samples: int = 12, n_classes: int = 4, seed: int = 0) -> xr.Dataset:
    """One run on the geodesic from ignorance to truth: progress is 0, ..., 1 in equal steps.

    Examples
    --------
    >>> geodesic_run().predspace.progress().values.round(6)
    array([0.  , 0.25, 0.5 , 0.75, 1.  ])
    """
    labels = _labels(n_samples, n_classes, seed)
    times = np.linspace(0, 1, n_checkpoints)
    probs = geodesic(ignorance(n_samples, n_classes), truth(labels, n_classes), times)  # (T, N, C)
    return make_trajectories(
        probs, labels, task="geodesic", method="synthetic", epoch=times, title="points on one geodesic"
    )


def constant_run(n_checkpoints: int = 4, n_samples: int = 12, n_classes: int = 4, seed: int = 0) -> xr.Dataset:
    """One run that never leaves ignorance: length 0, progress 0, every distance 0.

    Examples
    --------
    >>> float(constant_run().predspace.riemann_length().item())
    0.0
    """
    labels = _labels(n_samples, n_classes, seed)
    probs = np.repeat(ignorance(n_samples, n_classes)[None], n_checkpoints, axis=0)  # (T, N, C)
    epochs = np.arange(n_checkpoints)
    return make_trajectories(probs, labels, task="constant", method="synthetic", epoch=epochs, title="a constant run")


def meeting_runs(n_checkpoints: int = 9, n_samples: int = 20, n_classes: int = 4, seed: int = 0) -> xr.Dataset:
    """Two runs from ignorance to the truth that part on the way: d_B between them is 0 at both ends only.

    Tasks "left" and "right"; each adds, halfway, its own wrong class to the geodesic.

    Examples
    --------
    >>> list(np.unique(meeting_runs().task))
    [np.str_('left'), np.str_('right')]
    """
    labels = _labels(n_samples, n_classes, seed)
    times = np.linspace(0, 1, n_checkpoints)
    straight = geodesic(ignorance(n_samples, n_classes), truth(labels, n_classes), times)  # (T, N, C)
    share = 0.4 * np.sin(np.pi * times)[:, None, None]  # (T, 1, 1)
    share[-1] = 0.0  # sin(pi) is not quite 0
    sides = [(1 - share) * straight + share * truth((labels + turn) % n_classes, n_classes) for turn in (1, 2)]
    return make_trajectories(
        np.concatenate(sides),
        labels,
        task=["left"] * n_checkpoints + ["right"] * n_checkpoints,
        method="synthetic",
        epoch=np.tile(times, 2),
        title="two runs that part and meet",
    )


def random_trajectories(
    tasks: tuple[str, ...] = ("red", "green", "blue"),
    n_seeds: int = 2,
    n_checkpoints: int = 8,
    n_samples: int = 30,
    n_classes: int = 5,
    seed: int = 0,
    methods: tuple[str, ...] = ("supervised",),
) -> xr.Dataset:
    """Real-looking trainings: softmax of logits that sharpen towards each task's own labelling, never zeros.

    The first task learns the truth, each further one a labelling with more wrong labels; seeds differ by noise. All
    runs start near ignorance.

    Examples
    --------
    >>> dict(random_trajectories().sizes)
    {'checkpoint': 48, 'sample': 30, 'class': 5}
    """
    random = np.random.default_rng(seed)
    labels = _labels(n_samples, n_classes, seed)
    times = np.linspace(0, 1, n_checkpoints)[:, None, None]  # (T, 1, 1)
    probs, names, how, seeds = [], [], [], []
    for number, task in enumerate(tasks):
        wrong = random.random(n_samples) < number / (len(tasks) + 1)
        learned = np.where(wrong, (labels + 1 + number) % n_classes, labels)
        for method in methods:
            bend = random.normal(size=(n_samples, n_classes))
            for run_seed in range(n_seeds):
                noise = random.normal(size=(n_checkpoints, n_samples, n_classes))
                logits = 6 * times * truth(learned, n_classes) + 4 * times * (1 - times) * bend + 0.3 * times * noise
                probs.append(_softmax(logits))
                names += [task] * n_checkpoints
                how += [method] * n_checkpoints
                seeds += [run_seed] * n_checkpoints
    stacked = np.concatenate(probs)  # (runs * T, N, C)
    return make_trajectories(
        stacked,
        labels,
        task=names,
        method=how,
        seed=seeds,
        epoch=np.tile(times.ravel() * 10, len(probs)),
        metrics={"accuracy": (stacked.argmax(axis=-1) == labels).mean(axis=-1)},
        classes=[f"class {index}" for index in range(n_classes)],
        title="synthetic trainings",
        source="predspace_widgets.trajectories.testing.random_trajectories",
    )


def _labels(n_samples: int, n_classes: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(n_classes, size=n_samples)


def _softmax(logits: Array) -> Array:
    weights: Array = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)
