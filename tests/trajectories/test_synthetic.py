"""The sloppy family has the dimensions that it is asked for, and is a dataset like any other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import predspace_widgets as pw


def logits_of(ds: Any) -> np.ndarray:
    """Logits (T, N * C), each row of which has sum 0 over the classes of a sample: what a softmax lets be known."""
    logs = np.log(ds["probs"].values)
    return (logs - logs.mean(axis=-1, keepdims=True)).reshape(len(logs), -1)


@pytest.mark.parametrize(("n_dimensions", "decay"), [(1, 0.5), (2, 0.3), (5, 0.6), (9, 1.0)])
def test_logits_span_so_many_dimensions_and_fall_by_the_decay(n_dimensions: int, decay: float) -> None:
    logits = logits_of(pw.sloppy_family(n_dimensions, decay, n_samples=20, scale=0.7))
    widths = np.linalg.svd(logits - logits.mean(axis=0), compute_uv=False)
    assert np.linalg.matrix_rank(logits, tol=1e-9 * widths[0]) == n_dimensions
    np.testing.assert_allclose(widths[:n_dimensions], widths[0] * decay ** np.arange(n_dimensions), rtol=1e-9)
    # The first is as wide as asked: over all logits a root mean square of 0.7.
    np.testing.assert_allclose(widths[0], 0.7 * np.sqrt(logits.size), rtol=1e-9)
    assert widths[n_dimensions] < 1e-9 * widths[0]


def test_runs_are_paths_from_ignorance_that_differ() -> None:
    ds = pw.sloppy_family(n_runs=7, n_tasks=2, n_checkpoints=30)
    pw.validate(ds)
    assert dict(zip(ds["run"].values, ds["task"].values, strict=True)) == {
        f"end {k % 2 + 1}/synthetic/{k // 2}": f"end {k % 2 + 1}" for k in range(7)
    }
    starts = ds["probs"].values[ds["step"].values == 0]
    np.testing.assert_allclose(starts, 1 / 5, rtol=1e-12)
    distances = ds.predspace.distances().values
    steps = distances[np.arange(29), np.arange(1, 30)]
    assert steps.max() < 0.2 * distances[:30, :30].max()  # a path, not a jump
    ends = np.flatnonzero(ds["step"].values == 29)
    assert (distances[np.ix_(ends, ends)] + np.eye(7) > 1e-3).all()
    assert ds["accuracy"].values[ends].mean() > 0.8  # the widest direction leads to the truth


def test_the_same_seed_gives_the_same() -> None:
    one, same, other = (pw.sloppy_family(seed=seed)["probs"].values for seed in (1, 1, 2))
    assert one.tobytes() == same.tobytes()
    assert not np.allclose(one, other)


def test_axes_beyond_the_first_matter_more_the_less_it_decays() -> None:
    first = [float(pw.sloppy_family(5, decay).predspace.inpca(1)["explained_stress"][0]) for decay in (0.2, 0.5, 1.0)]
    assert first == sorted(first, reverse=True)
    assert first[0] > 0.8 > 0.4 > first[-1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decay": 0.0}, r"decay must lie in \(0, 1\]"),
        ({"decay": 1.5}, r"decay must lie in \(0, 1\]"),
        ({"scale": 0.0}, "scale be positive"),
        ({"n_dimensions": 0}, "needs a dimension"),
        ({"n_checkpoints": 1}, "two checkpoints"),
        ({"n_dimensions": 41, "n_samples": 10, "n_classes": 5}, "10 samples of 5 classes have 40 dimensions, not 41"),
        ({"n_dimensions": 7, "n_runs": 2, "n_checkpoints": 4}, "2 runs of 4 checkpoints span at most 6 dimensions"),
    ],
)
def test_what_cannot_be_spanned_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pw.sloppy_family(**options)


def test_as_many_dimensions_as_can_be() -> None:
    for options in ({"n_dimensions": 6, "n_runs": 2, "n_checkpoints": 4}, {"n_dimensions": 8, "n_samples": 2}):
        logits = logits_of(pw.sloppy_family(decay=0.9, **options))
        assert np.linalg.matrix_rank(logits, tol=1e-9) == options["n_dimensions"]
