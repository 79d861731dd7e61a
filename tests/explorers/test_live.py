"""What is followed: a dataset that grows, is deleted or replaced; an iterator that ends, fails or is stopped."""

from __future__ import annotations

import itertools
import shutil
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr

import predspace_widgets as pw
from predspace_widgets.analysis import Analysis
from predspace_widgets.explorers.explorer import Explorer
from predspace_widgets.explorers.live import StoreWatch, follow_source, follow_store, together
from predspace_widgets.explorers.session import Session
from predspace_widgets.explorers.stage.packing import unpack
from predspace_widgets.explorers.state import ExplorerState
from predspace_widgets.training.recorder import Recorder
from predspace_widgets.trajectories.testing import random_trajectories
from tests.explorers.test_session import sent
from tests.recording import N_CLASSES, N_SAMPLES, labels_of, predictions
from tests.trajectories.samples import embedding_only

N_FIRST = 12


def softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def recorder_of(store: Path, **options: Any) -> Recorder:
    options = {"labels": labels_of(), "task": "even", "inputs": "logits", **options}
    return Recorder(store, **options)


def record(recorder: Recorder, n: int) -> None:
    first = 0 if recorder.last_step is None else recorder.last_step + 1
    for step in range(first, first + n):
        recorder.record(predictions(step), epoch=step / 4, step=step)


@pytest.fixture
def recording(tmp_path: Path) -> Iterator[tuple[Recorder, Session]]:
    recorder = recorder_of(tmp_path / "mine.zarr")
    record(recorder, N_FIRST)
    session = Session(Analysis(pw.open_trajectories(recorder.path)))
    following = follow_source(session)
    assert following is not None
    yield recorder, session
    following.stop()


def until(condition: Callable[[], Any], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "this does not come"
        time.sleep(0.02)


def news(session: Session, since: int = 0, generation: int = 0, kind: str = "news") -> tuple[dict[str, Any], Any]:
    request = {"kind": kind, "since": since, "generation": generation}
    answer = session.answer(request, ExplorerState(session.analysis))
    assert answer.content is not None
    return unpack(answer.content)


def told(session: Session) -> str:
    return " ".join(source["text"] for source in news(session)[0]["sources"])


# -- a dataset that grows ---------------------------------------------------------------------------------------------


def test_new_checkpoints_are_what_the_whole_dataset_says(recording: tuple[Recorder, Session]) -> None:
    recorder, session = recording
    record(recorder, 5)
    until(lambda: news(session)[0]["n_new"] == 5)
    facts, arrays = news(session)
    whole = Session(Analysis(pw.open_trajectories(recorder.path)))
    _, expected = sent(whole)
    for name in ("curve", "run", "epoch", "log epoch", "step", "seed", "accuracy", "progress great_circle"):
        np.testing.assert_allclose(arrays[name], expected[name][N_FIRST:], rtol=1e-6, err_msg=name)
        assert arrays[name].dtype == expected[name].dtype, name
    np.testing.assert_allclose(arrays["step length"], expected["step length"][N_FIRST:], rtol=1e-5)
    distances = whole.analysis.distances().values[N_FIRST:, :N_FIRST]
    np.testing.assert_allclose(arrays["new distances"], distances, atol=1e-6)
    assert facts["summary"] == whole.about["summary"]
    assert facts["info"]["log epoch"] == whole.about["info"]["log epoch"]
    facts, arrays = news(session, since=3)
    assert facts["first"] == 3
    assert arrays["step"].tolist() == [N_FIRST + 3, N_FIRST + 4]
    assert news(session, since=5)[1] == {}


def test_what_a_stage_says_is_not_trusted(recording: tuple[Recorder, Session]) -> None:
    recorder, session = recording
    record(recorder, 1)
    until(lambda: news(session)[0]["n_new"] == 1)
    for since in (-1, 99, "3", None, True, 1.5):
        assert news(session, since=since)[0]["first"] == 0, since  # type: ignore[arg-type]


def test_axes_are_fitted_anew_when_asked_and_stages_learn_of_it(recording: tuple[Recorder, Session]) -> None:
    recorder, session = recording
    record(recorder, 2)
    until(lambda: news(session)[0]["n_new"] == 2)
    facts, _ = news(session, generation=0, kind="refit")
    assert facts["generation"] == 1
    about, arrays = sent(session)
    assert about["generation"] == 1
    assert about["live"]
    assert about["n_checkpoints"] == N_FIRST + 2 == len(arrays["epoch"])
    assert news(session, 0, 0)[1] == {}
    assert news(session, 0, 1)[0]["n_new"] == 0
    record(recorder, 1)
    until(lambda: news(session, 0, 1)[0]["n_new"] == 1)
    assert news(session, 0, 1)[1]["step length"][0] > 0
    news(session, 0, 0, kind="refit")  # of somebody who has not heard of the first: it is done already
    assert session.news is not None
    assert session.news.n_new == 1


def test_the_lesser_part_is_not_what_axes_stay_fitted_to(recording: tuple[Recorder, Session]) -> None:
    recorder, session = recording
    record(recorder, N_FIRST + 1)
    until(lambda: session.analysis.ds.sizes["checkpoint"] > N_FIRST)


def test_a_first_checkpoint_is_enough(tmp_path: Path) -> None:
    recorder = recorder_of(tmp_path / "early.zarr")
    record(recorder, 1)
    session = Session(Analysis(pw.open_trajectories(recorder.path)))
    following = follow_source(session)
    assert following is not None
    for n in (2, 3):
        record(recorder, 1)
        until(lambda n=n: session.analysis.ds.sizes["checkpoint"] == n)
        assert len(sent(session)[1]["everything"]) == n
    following.stop()


def test_a_note_where_the_axes_do_not_explain_what_comes(recording: tuple[Recorder, Session]) -> None:
    recorder, session = recording
    record(recorder, 1)
    until(lambda: news(session)[0]["n_new"] == 1)
    rng = np.random.default_rng(0)
    for step in range(N_FIRST + 1, N_FIRST + 4):  # nothing like what came before
        recorder.record(6 * rng.normal(size=(N_SAMPLES, N_CLASSES)), epoch=step, step=step)
    until(lambda: news(session)[0]["n_new"] == 4)
    assert news(session)[0]["note"].startswith("the axes explain the new checkpoints less well: ")


def test_questions_on_what_is_new_get_a_sentence(recording: tuple[Recorder, Session]) -> None:
    _, session = recording
    other = recorder_of(session.watches[0].path, task="odd")
    record(other, 2)
    until(lambda: news(session)[0]["n_new"] == 2)
    assert news(session)[0]["curves"][0]["label"] == "odd"
    state = ExplorerState(session.analysis)
    for choices in ({"compared": ["even", "odd"]}, {"selected": [N_FIRST]}):
        with pytest.raises(ValueError, match="is new: fit the axes anew"):
            session.answer({"kind": "view", "view": "comparison", "choices": choices}, state)


def test_a_dataset_that_is_not_followed_has_no_news() -> None:
    session = Session(Analysis(random_trajectories()))
    assert follow_source(session) is None
    with pytest.raises(ValueError, match="nothing is recorded"):
        session.answer({"kind": "news"}, ExplorerState(session.analysis))
    assert follow_source(Session(Analysis(embedding_only()))) is None


def test_only_what_was_recorded_checkpoint_by_checkpoint_is_followed(tmp_path: Path) -> None:
    path = pw.save_trajectories(random_trajectories(), tmp_path / "whole.zarr")
    assert follow_source(Session(Analysis(pw.open_trajectories(path)))) is None


# -- a dataset that goes away -----------------------------------------------------------------------------------------


def test_a_deleted_dataset(recording: tuple[Recorder, Session]) -> None:
    recorder, session = recording
    session.payload()
    shutil.rmtree(recorder.path)
    until(lambda: "deleted" in told(session))
    assert len(sent(session)[1]["epoch"]) == N_FIRST
    with pytest.raises((ValueError, OSError)):
        news(session, kind="refit")
    assert news(session)[0]["generation"] == 0


def test_a_replaced_dataset_is_seen_once_the_axes_are_fitted_anew(recording: tuple[Recorder, Session]) -> None:
    recorder, session = recording
    shutil.rmtree(recorder.path)
    record(recorder_of(recorder.path, task="odd"), N_FIRST + 3)
    until(lambda: "replaced" in told(session))
    assert news(session)[0]["n_new"] == 0
    news(session, kind="refit")
    assert session.analysis.curve_names == ["odd"]
    until(lambda: "recording" in told(session) or "ended" in told(session) or "checkpoints" in told(session))
    assert "replaced" not in told(session)


def test_other_labels(recording: tuple[Recorder, Session]) -> None:
    recorder, session = recording
    group = zarr.open_group(recorder.path, mode="r+", use_consolidated=False)
    group["label"][:] = (labels_of() + 1) % N_CLASSES  # type: ignore[index]
    record(recorder, 1)
    until(lambda: "its labels are others now" in told(session))
    assert news(session)[0]["n_new"] == 0


def test_another_dataset_of_other_samples_is_not_followed(recording: tuple[Recorder, Session], tmp_path: Path) -> None:
    _, session = recording
    following = follow_store(session, tmp_path / "other.zarr")
    assert "waiting for the first checkpoint" in told(session)
    with Recorder(tmp_path / "other.zarr", labels=[0, 1, 2], task="other") as other:
        other.record(np.eye(3) * 0.4 + 0.2, epoch=0)
    until(lambda: "others now" in told(session))
    following.stop()


def test_how_it_stands_when_it_is_slow(tmp_path: Path) -> None:
    recorder = recorder_of(tmp_path / "mine.zarr")
    record(recorder, 2)
    watch = StoreWatch(recorder.path, pw.open_trajectories(recorder.path), is_own=True)
    watch.look()
    assert watch.state()["text"].startswith("recording, 2 checkpoints, last ")
    watch._changed = time.time() - 185
    assert watch.state() == {"state": "slow", "text": "recording, 2 checkpoints, nothing for 3 min"}
    recorder.close()
    watch.look()
    assert watch.state()["text"] == "ended, 2 checkpoints, last 3 min ago"


# -- an iterator ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def base() -> xr.Dataset:
    return random_trajectories(n_checkpoints=4, n_samples=N_SAMPLES, n_classes=N_CLASSES)


def walk(n: int | None = None) -> Iterator[tuple[np.ndarray, float]]:
    for step in itertools.count() if n is None else range(n):
        yield softmax(predictions(step)), step / 4


def ended(explorer: Explorer) -> Explorer:
    """The explorer, once what it follows has ended by itself."""
    until(lambda: explorer.following is not None and not explorer.following.is_running)
    return explorer


def test_an_iterator_is_followed_to_its_end(base: xr.Dataset) -> None:
    explorer = ended(Explorer(base).follow(walk(5), task="mine", seed=7))
    facts, arrays = news(explorer.session)
    assert facts["n_new"] == 5
    assert facts["runs"] == ["mine/supervised/7"]
    assert arrays["epoch"].tolist() == [0, 0.25, 0.5, 0.75, 1.0]
    assert (arrays["step length"][1:] > 0).all()
    assert not facts["can_refit"]
    assert facts["sources"] == [{"state": "ended", "text": "ended, 5 checkpoints"}]
    explorer.stop()
    with pytest.raises(ValueError, match="not on disk"):
        news(explorer.session, kind="refit")


def test_the_end_of_an_iterator_is_waited_for(base: xr.Dataset, tmp_path: Path) -> None:
    go_on = threading.Event()

    def training() -> Iterator[tuple[np.ndarray, float]]:
        yield from walk(2)
        assert go_on.wait(60)
        raise RuntimeError("the loss is not finite")

    explorer = Explorer(base)
    with pytest.raises(ValueError, match=r"follows nothing: call its follow\(\) first"):
        explorer.wait()
    explorer.follow(training())
    threading.Timer(0.2, go_on.set).start()
    with pytest.raises(RuntimeError, match="the loss is not finite"):
        explorer.wait()
    assert go_on.is_set()
    assert news(explorer.session)[0]["n_new"] == 2
    following = follow_store(explorer.session, tmp_path / "new.zarr")
    with pytest.raises(ValueError, match="is followed until stop"):
        following.wait()
    following.stop()


def test_an_endless_iterator_is_stopped_and_closed(base: xr.Dataset) -> None:
    closed = threading.Event()

    def training() -> Iterator[tuple[np.ndarray, float]]:
        try:
            for item in walk():
                time.sleep(0.01)
                yield item
        finally:
            closed.set()

    explorer = Explorer(base).follow(training())
    until(lambda: news(explorer.session)[0]["n_new"] > 1)
    with pytest.raises(ValueError, match="follows something already"):
        explorer.follow(walk(1))
    explorer.stop()
    assert closed.wait(60)
    assert "stopped" in told(explorer.session)


def test_what_was_stopped_runs_no_more_however_long_its_checkpoint_took(base: xr.Dataset) -> None:
    is_asked, go_on = threading.Event(), threading.Event()

    def training() -> Iterator[tuple[np.ndarray, float]]:
        is_asked.set()
        assert go_on.wait(60)
        yield from walk(2)

    explorer = Explorer(base).follow(training())
    assert is_asked.wait(60)
    threading.Timer(0.5, go_on.set).start()
    explorer.stop()
    assert go_on.is_set()
    assert explorer.following is not None
    assert not explorer.following.is_running


def test_an_error_of_the_iterator_is_told_and_raised(base: xr.Dataset) -> None:
    def training() -> Iterator[tuple[np.ndarray, float]]:
        yield from walk(2)
        raise RuntimeError("the loss is not finite")

    explorer = ended(Explorer(base).follow(training()))
    following = explorer.following
    assert following is not None
    assert told(explorer.session) == "RuntimeError: the loss is not finite"
    assert isinstance(following.error, RuntimeError)
    with pytest.raises(RuntimeError, match="the loss is not finite"):
        explorer.stop()


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (np.eye(3), "it gave ndarray"),
        (3, "it gave int"),
        ((np.full((3, 5), 0.2), 0), r"shape \(3, 5\) came, but this dataset has 40 samples and 5 classes"),
        ((np.full((1, 40, 5), 0.2), 0), r"shape \(samples, classes\), got \(1, 40, 5\)"),
        ((predictions(3), 0), "the predictions"),
        ((np.full((40, 5), 0.2), float("nan")), "finite number"),
    ],
)
def test_what_an_iterator_must_not_give(base: xr.Dataset, item: Any, message: str) -> None:
    explorer = ended(Explorer(base).follow([item]))
    with pytest.raises(ValueError, match=message):
        explorer.stop()


def test_epochs_come_in_their_order(base: xr.Dataset) -> None:
    explorer = ended(Explorer(base).follow(reversed(list(walk(2)))))
    with pytest.raises(ValueError, match="came after epoch"):
        explorer.stop()


def test_a_run_that_is_there_is_refused(base: xr.Dataset) -> None:
    with pytest.raises(ValueError, match="has a run 'red/supervised/0' already"):
        Explorer(base).follow(walk(1), task="red")


def test_a_recorder_is_followed_where_it_records(base: xr.Dataset, tmp_path: Path) -> None:
    labels, classes = base["label"].values, base["class"].values.tolist()
    recorder = recorder_of(tmp_path / "new.zarr", labels=labels, classes=classes, sample_ids=base["sample"].values)
    explorer = Explorer(base).follow(recorder)
    record(recorder, 3)
    until(lambda: news(explorer.session)[0]["n_new"] == 3)
    facts, _ = news(explorer.session, kind="refit")  # the two as one
    assert facts["generation"] == 1
    assert explorer.session.analysis.ds.sizes["checkpoint"] == base.sizes["checkpoint"] + 3
    assert explorer.session.analysis.curve_names == ["red", "green", "blue", "even"]
    record(recorder, 1)
    until(lambda: news(explorer.session, 0, 1)[0]["n_new"] == 1)
    explorer.stop()


def test_datasets_together_have_what_either_has(base: xr.Dataset) -> None:
    kind = ("checkpoint", ["small"] * base.sizes["checkpoint"])
    new = random_trajectories(("mauve", "red"), n_checkpoints=3, n_samples=N_SAMPLES, n_classes=N_CLASSES)
    new = new.assign(label=base["label"], extra=("checkpoint", np.ones(new.sizes["checkpoint"])))
    whole = together(base.assign_coords(architecture=kind), [new])
    n = base.sizes["checkpoint"]
    assert whole["run"].values[n:].tolist() == new["run"].values[new["task"].values == "mauve"].tolist()  # red is there
    np.testing.assert_array_equal(whole["probs"].values[:n], base["probs"].values)
    assert set(whole["architecture"].values[:n]) == {"small"}
    assert np.isnan(whole["extra"].values[:n]).all()
    assert len(Analysis(whole).curve_names) == 4


def test_the_state_grows_with_what_is_followed(base: xr.Dataset) -> None:
    explorer = Explorer(base)
    widget = explorer.widget
    assert not widget.live
    explorer.state.seeds = [0]
    ended(explorer.follow(walk(3), task="mine", seed=7))
    assert widget.live
    assert explorer.state.curves == ["red", "green", "blue", "mine"]
    assert explorer.settings() == {"seeds": [0]}
    explorer.state.curves = ["mine"]  # what the stage may choose
    assert widget.choices == {"seeds": [0], "curves": ["mine"]}


def test_memory_stays_flat(base: xr.Dataset) -> None:
    n_samples, n_classes = 2000, 10
    large = random_trajectories(n_checkpoints=3, n_samples=n_samples, n_classes=n_classes)
    session = Session(Analysis(large))
    explorer = Explorer(session.analysis)
    grown: list[int] = []

    def training() -> Iterator[tuple[np.ndarray, float]]:
        rng = np.random.default_rng(0)
        for step in range(200):
            if step in (20, 199):
                grown.append(tracemalloc.get_traced_memory()[0])
            yield rng.dirichlet(np.ones(n_classes), n_samples), step

    tracemalloc.start()
    ended(explorer.follow(training()))
    tracemalloc.stop()
    assert explorer.following.error is None  # type: ignore[union-attr]
    of_a_checkpoint = 4 * n_samples * n_classes
    assert grown[1] - grown[0] < 10 * of_a_checkpoint  # and not those of 179
