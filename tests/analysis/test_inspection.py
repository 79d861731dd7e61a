"""Why two predictions differ: parts that make the distance, and what one checkpoint gets right and wrong."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import predspace_widgets as pw
from predspace_widgets.analysis import analysis_of, inspection, measurements, points
from predspace_widgets.analysis.inspection import checkpoint, why
from predspace_widgets.analysis.runs import compare_ends
from predspace_widgets.geometry import bhattacharyya, great_circle, ignorance, progress, reindex, truth
from predspace_widgets.trajectories import make_trajectories, open_trajectories, save_trajectories, storage
from predspace_widgets.trajectories.appending import append_checkpoints
from predspace_widgets.trajectories.checksums import DamagedError
from predspace_widgets.trajectories.schema import NoPredictionsError
from predspace_widgets.trajectories.source import StoreChangedError
from predspace_widgets.trajectories.testing import random_trajectories
from tests.trajectories.samples import embedding_only

TRAININGS = random_trajectories()  # 48 checkpoints of 6 runs, 30 samples, 5 classes
N_CHECKPOINTS = TRAININGS.sizes["checkpoint"]
P, LABELS = TRAININGS["probs"].values, TRAININGS["label"].values
rows = st.integers(0, N_CHECKPOINTS - 1)

SIDES: list[tuple[Any, str, np.ndarray]] = [
    (3, "red/supervised/0 at epoch 4.28571", P[3]),
    (np.int64(3), "red/supervised/0 at epoch 4.28571", P[3]),
    ("red/supervised/1", "red/supervised/1 at the end", P[15]),
    (("red/supervised/1", {"step": 2}), "red/supervised/1 at step 2", P[10]),
    ("red", "red at the end (mean of 2 runs)", P[[7, 15]].mean(axis=0)),
    (("red", "supervised"), "red at the end (mean of 2 runs)", P[[7, 15]].mean(axis=0)),
    (("red", {"step": 2}), "red at step 2 (mean of 2 runs)", P[[2, 10]].mean(axis=0)),
    ((("red", "supervised"), {"step": 2}), "red at step 2 (mean of 2 runs)", P[[2, 10]].mean(axis=0)),
]


@given(first=rows, second=rows)
def test_contributions_make_the_distance(first: int, second: int) -> None:
    found = why(TRAININGS, first, second)
    distance = float(bhattacharyya(P[first], P[second]))
    assert abs(float(found["contribution"].mean()) - distance) < 1e-12
    assert abs(found.attrs["distance"] - distance) < 1e-12
    assert found.attrs["great_circle"] == pytest.approx(float(great_circle(P[first], P[second])), abs=1e-12)
    np.testing.assert_allclose(found["contribution_by_pair"].sum(["true", "predicted_as"]), distance, atol=1e-12)
    for n, row in enumerate((first, second)):
        np.testing.assert_array_equal(found["predicted"][n], P[row].argmax(axis=-1))
    if distance > 0:
        assert float(found["share_of_class"].sum()) == pytest.approx(1)
        n_half = found.attrs["n_for_half"]
        ordered = found["contribution"].values[found["order"].values]
        assert ordered[:n_half].sum() >= 0.5 * ordered.sum() * (1 - 1e-12) > ordered[: n_half - 1].sum() * (1 - 1e-9)
    np.testing.assert_array_equal(np.sort(found["contribution"])[::-1], found["contribution"].values[found["order"]])


def test_shares_by_class_and_pair_are_those_of_plain_loops() -> None:
    found = why(TRAININGS, 7, 47)
    values = found["contribution"].values
    for k, name in enumerate(TRAININGS["class"].values):
        of_class = values[k == LABELS].sum()
        assert float(found["share_of_class"].sel({"class": name})) == pytest.approx(of_class / values.sum())
        for side, row in (("first", 7), ("second", 47)):
            for j, other in enumerate(TRAININGS["class"].values):
                chosen = (k == LABELS) & (P[row].argmax(axis=-1) == j)
                by_pair = found["contribution_by_pair"].sel(side=side, true=name, predicted_as=other)
                assert float(by_pair) == pytest.approx(values[chosen].sum() / len(values))


def test_a_point_and_itself() -> None:
    found = why(TRAININGS, 5, 5)
    assert not found["contribution"].any()
    assert not found["share_of_class"].any()
    assert (found.attrs["distance"], found.attrs["great_circle"], found.attrs["n_for_half"]) == (0, 0, 0)
    assert not any(np.isnan(values).any() for values in found.data_vars.values())


@pytest.mark.parametrize(("side", "name", "expected"), SIDES, ids=[str(side) for side, _, _ in SIDES])
def test_what_a_side_can_be(side: Any, name: str, expected: np.ndarray) -> None:
    found = TRAININGS.predspace.why(side, 0)
    assert found.attrs["first"] == name
    np.testing.assert_allclose(found["probs_first"], expected, rtol=0, atol=1e-15)


@given(at=st.floats(0.1, 0.45))
def test_a_run_and_a_curve_at_a_progress_are_reindexed(at: float) -> None:
    reached = analysis_of(TRAININGS).progress().values
    of_runs = [reindex(P[run], reached[run], [at])[0] for run in (slice(8), slice(8, 16))]
    found = why(TRAININGS, ("red/supervised/1", {"progress": at}), ("red", {"progress": at}))
    np.testing.assert_allclose(found["probs_first"], of_runs[1], atol=1e-14)
    np.testing.assert_allclose(found["probs_second"], np.mean(of_runs, axis=0), atol=1e-14)


def test_at_the_progress_of_its_end_a_run_is_its_end() -> None:
    end = float(analysis_of(TRAININGS).progress()[15])
    found = why(TRAININGS, ("red/supervised/1", {"progress": end}), "red/supervised/1")
    assert found.attrs["distance"] < 1e-12


def test_curves_at_their_ends_are_as_far_apart_as_their_means() -> None:
    expected = float(compare_ends(TRAININGS, "red", "blue")["distance"])
    assert why(TRAININGS, "red", "blue").attrs["distance"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("side", "message"),
    [
        (48, "there is no checkpoint 48: rows of this dataset are 0 to 47"),
        (-1, "there is no checkpoint -1"),
        (True, "True names nothing"),
        (1.5, "1.5 names nothing"),
        ("rde", "no run or curve 'rde' in this dataset; near it are 'red'"),
        ("red/supervised/9", "no run or curve 'red/supervised/9' in this dataset; near it are 'red/supervised/"),
        (("red", "simclr"), r"no curve \('red', 'simclr'\)"),
        (("red", {"step": 99}), "red/supervised/0 has no checkpoint at step 99; near it are 6 and 7"),
        (("red", {"progress": 0.99}), "progress 0.99 is not within .*, the progress that red/supervised/"),
        (("red", {"epoch": 3}), "a moment is"),
        (("red", {"step": 3, "progress": 0.5}), "a moment is"),
        ((3, {"step": 3}), "names nothing"),
    ],
)
def test_bad_sides(side: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        why(TRAININGS, 0, side)


def test_a_name_that_means_two_things() -> None:
    both = TRAININGS.assign_coords(run=TRAININGS["run"].str.replace("green/supervised/0", "red"))
    with pytest.raises(ValueError, match="'red' is both a run and a curve"):
        why(both, "red", 0)
    methods = random_trajectories(methods=("simclr", "barlow"))
    with pytest.raises(ValueError, match="several curves"):
        why(methods, "red", 0)


def test_the_demo_differs_by_the_images_that_one_side_never_saw() -> None:
    """The top ten of (all digits, 0-4) at their ends, by a plain formula: images of 5 to 9."""
    demo = pw.demo()
    found = demo.predspace.why("all digits", "0-4")
    ends = {}
    for task in ("all digits", "0-4"):
        chosen = (demo["task"].values == task) & (demo["method"].values == "supervised")
        runs = [np.flatnonzero(chosen & (demo["seed"].values == seed))[-1] for seed in np.unique(demo["seed"][chosen])]
        ends[task] = demo["probs"].isel(checkpoint=runs).values.astype(np.float64).mean(axis=0)
    b = np.sqrt(ends["all digits"] * ends["0-4"]).sum(axis=-1)
    expected = np.argsort(np.log(b), kind="stable")[:10]
    assert found["order"].values[:10].tolist() == expected.tolist()
    assert (demo["label"].values[expected] >= 5).sum() >= 8
    assert float(found["share_of_class"][5:].sum()) > 0.9


# -- one checkpoint ----------------------------------------------------------------------------------------------------


@given(row=rows)
def test_what_a_checkpoint_is_and_where_it_lies(row: int) -> None:
    found = checkpoint(TRAININGS, row)
    p, ends = P[row], (ignorance(30, 5), truth(LABELS, 5))
    assert found.attrs["run"] == TRAININGS["run"].values[row]
    assert found.attrs["accuracy"] == pytest.approx(float(TRAININGS["accuracy"][row]))
    assert found.attrs["loss"] == pytest.approx(-np.log(p[np.arange(30), LABELS]).mean())
    assert found.attrs["progress"] == pytest.approx(float(progress(p, *ends)), abs=1e-8)
    assert found.attrs["to_ignorance"] == pytest.approx(float(bhattacharyya(p, ends[0])), abs=1e-12)
    assert found.attrs["to_truth"] == pytest.approx(float(bhattacharyya(p, ends[1])), abs=1e-12)
    assert float(found["contribution"].mean()) == pytest.approx(found.attrs["to_truth"], abs=1e-12)
    others = np.flatnonzero(TRAININGS["run"].values != TRAININGS["run"].values[row])
    nearest = float(bhattacharyya(P[others], p).min())
    assert found.attrs["nearest_distance"] == pytest.approx(nearest, abs=1e-6)
    assert found.attrs["nearest_row"] in others


@given(row=rows)
def test_right_and_wrong_samples(row: int) -> None:
    found = checkpoint(TRAININGS, row)
    predicted, certainty = P[row].argmax(axis=-1), P[row].max(axis=-1)
    confusion = found["confusion"].values
    assert confusion.sum() == 30
    assert np.trace(confusion) == (predicted == LABELS).sum()
    for true, guess in zip(LABELS, predicted, strict=True):
        confusion[true, guess] -= 1
    assert not confusion.any()
    correct, error = found["least_certain_correct"].values, found["most_certain_error"].values
    assert (predicted[correct] == LABELS[correct]).all()
    assert (predicted[error] != LABELS[error]).all()
    assert certainty[correct].tolist() == sorted(certainty[predicted == LABELS])[:12]
    assert certainty[error].tolist() == sorted(certainty[predicted != LABELS], reverse=True)[:12]
    assert found["correct_sample"].values.tolist() == TRAININGS["sample"].values[correct].tolist()


@given(row=rows)
def test_what_changed_since_the_checkpoint_before(row: int) -> None:
    found = checkpoint(TRAININGS, row)
    if row % 8 == 0:
        assert found.attrs["before"] == "the first checkpoint of its run: nothing came before it"
        assert {"change", "step_contribution"}.isdisjoint(found)
        return
    assert found.attrs["before_row"] == row - 1
    before, now = (P[k].argmax(axis=-1) == LABELS for k in (row - 1, row))
    np.testing.assert_array_equal(found["change"] == 1, now & ~before)
    np.testing.assert_array_equal(found["change"] == -1, before & ~now)
    counts = int((now & ~before).sum()), int((before & ~now).sum())
    assert (found.attrs["n_became_right"], found.attrs["n_became_wrong"]) == counts
    assert float(found["step_contribution"].mean()) == pytest.approx(
        float(bhattacharyya(P[row - 1], P[row])), abs=1e-12
    )


def test_a_class_with_one_sample_and_one_without() -> None:
    probs = np.random.default_rng(0).dirichlet(np.ones(4), size=(2, 3))
    ds = make_trajectories(probs, [0, 1, 1], task="one", epoch=[0, 1])
    found = checkpoint(ds, 1)
    assert found["confusion"].sum("predicted_as").values.tolist() == [1, 2, 0, 0]
    assert found.attrs["nearest"] == "the dataset has no other run"
    shares = why(ds, 0, 1)["share_of_class"].values
    assert shares[:2].all()
    assert not shares[2:].any()


def test_curves_of_joined_datasets_are_named_by_their_labels() -> None:
    both = pw.join([TRAININGS, TRAININGS], names=["mine", "theirs"])
    alone = why(TRAININGS, "red", "blue")
    found = why(both, "red @ mine", "blue @ theirs")
    np.testing.assert_allclose(found["contribution"], alone["contribution"], atol=1e-12)
    assert found.attrs["distance"] > 0
    assert why(both, "red @ mine", "red @ theirs").attrs["distance"] == pytest.approx(0, abs=1e-12)


def test_of_very_many_checkpoints_the_nearest_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "MOST_EXACT", 10)
    found = TRAININGS.predspace.checkpoint(3)
    assert found.attrs["nearest"] == "not measured: distances between all of 48 checkpoints are too many"


def test_without_predictions_there_is_nothing_to_inspect() -> None:
    with pytest.raises(NoPredictionsError):
        why(embedding_only(), 0, 1)
    with pytest.raises(NoPredictionsError):
        checkpoint(embedding_only(), 0)


def test_a_hundred_thousand_images() -> None:
    random = np.random.default_rng(0)
    probs = random.dirichlet(np.ones(3), size=(2, 100_000)).astype(np.float32)
    ds = make_trajectories(probs, random.integers(3, size=100_000), task="many", epoch=[0, 1])
    found = why(ds, 0, 1)
    assert abs(float(found["contribution"].mean()) - float(bhattacharyya(*probs))) < 1e-12
    assert checkpoint(ds, 1)["confusion"].sum() == 100_000


def test_results_can_be_saved_and_cannot_change_the_dataset(tmp_path: Path) -> None:
    found = why(TRAININGS, 0, "red")
    found.to_netcdf(tmp_path / "why.nc")
    checkpoint(TRAININGS, 9).to_netcdf(tmp_path / "checkpoint.nc")
    with pytest.raises(ValueError, match="read-only"):
        found["probs_first"].values[0, 0] = 2


# -- from disk ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def _on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_CHUNK_BYTES", 48 * 5 * 8 * 2)  # two samples
    monkeypatch.setattr(storage, "_BLOCK_BYTES", 48 * 5 * 4 * 5)
    monkeypatch.setattr(storage, "_LEAST_OF_A_CHECKPOINT", 1)
    monkeypatch.setattr(measurements, "_IN_MEMORY", 0)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The rows of each pass over predictions on disk."""
    made: list[list[int]] = []
    original = points._blocks

    def counted(probs: xr.DataArray, rows: list[int]) -> Any:
        made.append(rows)
        return original(probs, rows)

    monkeypatch.setattr(points, "_blocks", counted)
    return made


@pytest.mark.usefixtures("_on_disk")
@pytest.mark.parametrize("form", [("probs", "float64"), ("probs", "float16"), ("log_probs", "float64")])
def test_from_disk_it_is_the_same(form: Any, tmp_path: Path, reads: list[list[int]]) -> None:
    store, dtype = form
    with open_trajectories(save_trajectories(TRAININGS, tmp_path / "some.zarr", dtype=dtype, store=store)) as opened:
        here = opened.compute()
        for sides in ((3, 9), ("red", ("blue/supervised/1", {"progress": 0.2}))):
            found, expected = why(opened, *sides), why(here, *sides)
            xr.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 if dtype == "float16" else 1e-12)
        xr.testing.assert_allclose(checkpoint(opened, 9), checkpoint(here, 9), rtol=0, atol=1e-6)
        assert reads[0] == [3, 9]
        assert len(reads) == 3  # each pair in one pass; of the checkpoint only the one before was missing
        assert reads[2] == [8]


@pytest.mark.usefixtures("_on_disk")
def test_of_a_recording_only_the_files_of_its_checkpoints_are_read(tmp_path: Path) -> None:
    path = tmp_path / "recorded.zarr"
    for row in range(6):
        append_checkpoints(TRAININGS.isel(checkpoint=slice(row, row + 1)), path)
    with open_trajectories(path) as opened:
        for file in (path / "probs" / "c").rglob("*"):
            if file.is_file() and file.relative_to(path / "probs" / "c").parts[0] not in ("2", "4"):
                file.write_bytes(b"no chunk")  # whoever reads it fails
        blocks = [block for _, block in points._blocks(opened["probs"], [2, 4])]
        np.testing.assert_allclose(np.concatenate(blocks, axis=1), P[[2, 4]], atol=1e-15)
        with pytest.raises(DamagedError, match="'probs' of checkpoint 3"):
            list(points._blocks(opened["probs"], [3]))


@pytest.mark.usefixtures("_on_disk")
def test_what_was_read_is_kept_within_bounds(tmp_path: Path, reads: list[list[int]], monkeypatch: Any) -> None:
    monkeypatch.setattr(points, "_MOST_BYTES", 3 * P[0].nbytes)
    with open_trajectories(save_trajectories(TRAININGS, tmp_path / "some.zarr")) as opened:
        for row in (1, 2, 3, 4):
            why(opened, 0, row)
        assert reads == [[0, 1], [2], [3], [4]]
        why(opened, 4, 0)
        assert len(reads) == 4
        why(opened, 1, 4)
        assert reads[4:] == [[1]]
        assert len(analysis_of(opened).points._cache) == 3


@pytest.mark.usefixtures("_on_disk")
@pytest.mark.parametrize("name", ["some.zarr", "some.zarr.zip"])
@pytest.mark.parametrize("is_deleted", [True, False])
def test_a_store_that_is_not_the_one_that_was_opened(name: str, is_deleted: bool, tmp_path: Path) -> None:
    path = save_trajectories(TRAININGS, tmp_path / name)
    with open_trajectories(path) as opened:
        why(opened, 0, 1)
        if is_deleted:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        else:
            save_trajectories(random_trajectories(seed=1), path)
        with pytest.raises(StoreChangedError, match="has changed since it was opened: open it again"):
            why(opened, 0, 2)


@pytest.mark.parametrize("row", ["red/synthetic/0", 1.5, None])
def test_a_checkpoint_is_named_by_its_row(row: Any) -> None:
    with pytest.raises(ValueError, match="named by its row, a whole number, got"):
        random_trajectories().predspace.checkpoint(row)
