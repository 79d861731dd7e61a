"""Datasets that the tests of this folder share, and what hypothesis draws."""

from __future__ import annotations

import numpy as np
import xarray as xr
from hypothesis import strategies as st

from predspace_widgets.trajectories import make_trajectories

KINDS = (".zarr", ".zarr.zip", ".nc")

# Names that break what splits, decodes, pads or prints them.
_ODD_NAMES = (
    "",
    " ",
    "a/b",
    "../up",
    "a\nb",
    "été",
    "e\u0301te\u0301",
    "任务",
    "😀",
    "\u202e",
    "left · right",
    "nan",
    "0",
)
names = st.one_of(
    st.sampled_from(_ODD_NAMES),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6),
)


def random_probs(*shape: int, seed: int = 0, sharpness: float = 0.5) -> np.ndarray:
    """Array of this shape (..., C) of random rows on the simplex."""
    return np.random.default_rng(seed).dirichlet(np.full(shape[-1], sharpness), size=shape[:-1])


def two_runs(dtype: str = "float64") -> xr.Dataset:
    """Runs "A" of 4 checkpoints and "B" of 3 on samples s0 .. s4 and classes cat, dog, owl; epochs 0, 0.5, 1, 1.5."""
    return make_trajectories(
        random_probs(7, 5, 3).astype(dtype),
        label=[0, 1, 2, 0, 1],
        task=["animals"] * 4 + ["birds"] * 3,
        run=["A"] * 4 + ["B"] * 3,
        epoch=[0, 0.5, 1, 1.5, 0, 0.5, 1],
        sample=[f"s{index}" for index in range(5)],
        classes=["cat", "dog", "owl"],
        image=np.arange(5 * 2 * 3, dtype=np.uint8).reshape(5, 2, 3),
        metrics={"loss": np.linspace(1, 0, 7)},
        title="two runs",
    )


def embedding_only(n_axes: int = 3) -> xr.Dataset:
    """A published picture without predictions: tasks x and y, 2 seeds of 3 checkpoints each."""
    eigenvalues = np.array([4.0, -2.0, 1.0, 0.5])[:n_axes]
    random = np.random.default_rng(1).normal(size=(12, n_axes))
    directions = np.linalg.qr(random - random.mean(axis=0))[0]  # centred columns of length 1
    columns = {
        "task": np.repeat(["x", "y"], 6),
        "method": np.full(12, "supervised"),
        "seed": np.tile(np.repeat([0, 1], 3), 2),
        "epoch": np.tile([0.0, 1.0, 2.0], 4),
        "step": np.tile([0, 10, 20], 4),
        "run": np.repeat(["x/0", "x/1", "y/0", "y/1"], 3),
    }
    return xr.Dataset(
        {
            "embedding": (("checkpoint", "component"), directions * np.sqrt(np.abs(eigenvalues))),
            "eigenvalue": ("component", eigenvalues),
        },
        coords={name: ("checkpoint", column) for name, column in columns.items()},
        attrs={"schema_version": "1", "title": "published"},
    )


@st.composite
def datasets(draw: st.DrawFn) -> xr.Dataset:
    """A small dataset of runs of different lengths, with odd names, images or none, and metrics with holes."""
    lengths = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    n_checkpoints, n_samples, n_classes = sum(lengths), draw(st.integers(1, 4)), draw(st.integers(2, 4))
    run_names = draw(st.lists(names, min_size=len(lengths), max_size=len(lengths), unique=True))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def each_run(values: list[object]) -> list[object]:
        return [value for value, length in zip(values, lengths, strict=True) for _ in range(length)]

    def of_runs(strategy: st.SearchStrategy[object]) -> list[object]:
        return each_run(draw(st.lists(strategy, min_size=len(lengths), max_size=len(lengths))))

    def unique_names(count: int) -> list[str]:
        return draw(st.lists(names, min_size=count, max_size=count, unique=True))

    image_shape = draw(st.sampled_from([None, (2, 3), (1, 1), (2, 3, 3), (2, 2, 1)]))
    ds = make_trajectories(
        random.dirichlet(np.full(n_classes, 0.3), size=(n_checkpoints, n_samples)).astype(
            draw(st.sampled_from(["float32", "float64"]))
        ),
        label=random.integers(n_classes, size=n_samples),
        task=of_runs(names),
        method=of_runs(names),
        seed=of_runs(st.integers(-(2**40), 2**40)),
        epoch=np.concatenate([np.sort(random.uniform(0, 100, length)) for length in lengths]),
        step=np.concatenate([np.cumsum(random.integers(1, 1000, length)) for length in lengths]),
        run=each_run(run_names),
        sample=draw(st.sampled_from([None, unique_names(n_samples)])),
        classes=draw(st.sampled_from([None, unique_names(n_classes)])),
        image=None if image_shape is None else random.integers(256, size=(n_samples, *image_shape)).astype(np.uint8),
        metrics=draw(st.sampled_from([None, {"accuracy": random.uniform(size=n_checkpoints)}])),
        title=draw(names),
        source=draw(names),
        recipe=draw(st.sampled_from([None, "epochs: 3\nname: é"])),
    )
    if draw(st.booleans()):
        holes = np.where(random.uniform(size=n_checkpoints) < 0.5, np.nan, 1.25)
        ds["loss"] = ("checkpoint", holes, {"units": "nats"})
    ds.attrs["n_parameters"] = draw(st.integers(-(2**40), 2**40))
    ds.attrs["learning_rate"] = draw(st.floats(allow_nan=False))
    return ds
