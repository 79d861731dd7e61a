"""The served page and the Panel component, without a browser."""

from __future__ import annotations

import gzip
import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import numpy as np
import panel as pn
import pytest
from bokeh.document import Document

from predspace_widgets.analysis import Analysis
from predspace_widgets.explorers import page
from predspace_widgets.explorers.explorer import Explorer
from predspace_widgets.explorers.page import StageComponent, make_server
from predspace_widgets.explorers.stage.packing import unpack
from predspace_widgets.trajectories.testing import geodesic_run, random_trajectories
from tests.explorers.serving import serving

ODD = "a / <b> & %41"
SCRIPT = "</title><script>window.hacked=1</script>"


# -- a component ------------------------------------------------------------------------------------------------------


def test_choices_go_both_ways() -> None:
    explorer = Explorer(random_trajectories(n_checkpoints=3), dimensions="2-D")
    component = explorer.panel()
    assert component.choices == {"dimensions": "2-D"}
    component.choices = {"curves": ["red"], "selected": [4]}
    assert explorer.settings() == {"curves": ["red"]}
    assert explorer.selection == [4]
    explorer.state.time = 3.0
    assert component.choices == {"curves": ["red"], "time": 3.0, "selected": [4]}
    component.choices = {"curves": "mauve", "zebra": [], "dimensions": {}}
    assert explorer.settings() == component.choices == {"curves": ["red"]}


def test_an_explorer_stands_in_a_panel_page() -> None:
    explorer = Explorer(random_trajectories(n_checkpoints=3))
    row = pn.Row(explorer, "beside it")
    [component, _] = row.objects
    assert isinstance(component, StageComponent)
    document = Document()
    row.server_doc(document)
    assert document.roots
    component.choices = {"dimensions": "pairs"}
    assert explorer.state.dimensions == "pairs"


def test_questions_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    component = Explorer(random_trajectories(n_checkpoints=3)).panel()
    told: list[Any] = []
    monkeypatch.setattr(component, "_send_msg", told.append)
    for request in ({"number": 1, "kind": "payload"}, {"number": 2, "kind": "nonsense"}, "nothing"):
        component._handle_msg(request)
    for _ in range(1000):
        if len(told) == 2:
            break
        time.sleep(0.02)
    payload, error = sorted(told, key=lambda message: message["number"])
    assert unpack(gzip.decompress(payload["content"]))[0]["n_checkpoints"] == 18
    assert "load it again" in error["error"]


# -- a server ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Two datasets, served by a thread of this process."""
    datasets = {"first": random_trajectories(n_checkpoints=3), ODD: geodesic_run(3).assign_attrs(title=SCRIPT)}
    with serving(datasets) as served:
        yield f"http://{served.host}"


def fetched(address: str, question: Any = None) -> tuple[bytes, dict[str, str]]:
    body = None if question is None else question if isinstance(question, bytes) else json.dumps(question).encode()
    with urllib.request.urlopen(urllib.request.Request(address, body), timeout=60) as answer:
        return answer.read(), dict(answer.headers)


def refused(address: str, question: Any = None) -> int:
    with pytest.raises(urllib.error.HTTPError) as error:
        fetched(address, question)
    return error.value.code


def about_of(address: str) -> dict[str, Any]:
    return unpack(gzip.decompress(fetched(address)[0]))[0]


def test_each_dataset_has_a_page_and_the_first_is_at_the_root(address: str) -> None:
    for path, title in (("/", "synthetic trainings"), ("/first", "synthetic trainings")):
        text = fetched(address + path)[0].decode()
        assert f"<title>{title} · predspace</title>" in text
    odd = fetched(f"{address}/{quote(ODD, safe='')}")[0].decode()
    assert "&lt;/title&gt;&lt;script&gt;" in odd
    assert SCRIPT not in odd
    assert refused(f"{address}/third") == 404


def test_numbers_of_each_dataset(address: str) -> None:
    first, odd = (about_of(f"{address}/stage-data/{quote(name, safe='')}") for name in ("first", ODD))
    assert (first["n_checkpoints"], odd["n_checkpoints"]) == (18, 3)
    assert odd["title"] == SCRIPT
    assert [(one["title"], one["current"]) for one in odd["others"]] == [("first", False), (ODD, True)]
    assert [one["address"] for one in odd["others"]] == ["./first", f"./{quote(ODD, safe='')}"]
    assert refused(f"{address}/stage-data/third") == 404


def test_numbers_that_have_not_changed_are_sent_once(address: str) -> None:
    _, headers = fetched(f"{address}/stage-data/first")
    again = urllib.request.Request(f"{address}/stage-data/first", headers={"If-None-Match": headers["Etag"]})
    with pytest.raises(urllib.error.HTTPError) as answer:
        urllib.request.urlopen(again, timeout=60)
    assert answer.value.code == 304


def test_plotly_comes_from_here(address: str) -> None:
    assert b"plotly.js" in fetched(f"{address}/stage-assets/plotly.min.js")[0][:200]


def test_questions_by_http(address: str) -> None:
    ask = f"{address}/stage-data/first"
    content, headers = fetched(ask, {"kind": "picture", "choices": {"curves": ["red"], "axes_fitted_on": "shown"}})
    assert json.loads(headers["X-Stage-Answer"]) == {"packed": True, "bytes": False}
    assert unpack(content)[1]["embedding"].shape[0] == 6
    content, headers = fetched(ask, {"kind": "view", "view": "comparison", "choices": {"compared": ["red", "blue"]}})
    comparison = Analysis(random_trajectories(n_checkpoints=3)).comparison("red", "blue")
    np.testing.assert_allclose(json.loads(content)["table"]["distance"], comparison["distance"].values)
    content, headers = fetched(ask, {"kind": "picture", "choices": {"curves": []}})
    assert json.loads(headers["X-Stage-Answer"]) == {"error": "no curve is chosen: choose at least one"}


@pytest.mark.parametrize(
    ("question", "code"), [(b"{", 400), (b"[" * 100_000, 400), (b"\xff", 400), (b'"' + b"x" * 2**20 + b'"', 413)]
)
def test_what_is_no_question_is_refused(address: str, question: bytes, code: int) -> None:
    assert refused(f"{address}/stage-data/first", question) == code
    assert refused(f"{address}/stage-data/third", question) == 404


@pytest.mark.parametrize(
    "question", [[], "view", 1, {"kind": ["view"]}, {"kind": "view", "view": "ünknown ☃\r\nX-A: b"}]
)
def test_a_strange_question_is_answered_by_an_error(address: str, question: Any) -> None:
    _, headers = fetched(f"{address}/stage-data/first", question)
    assert "error" in json.loads(headers["X-Stage-Answer"])
    assert "X-A" not in headers


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"port {port} of localhost cannot be used: .*in use"):
            make_server({"one": geodesic_run(2)}, port)


def test_a_dataset_that_cannot_be_prepared_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def payload(self) -> None:
            raise MemoryError

    class Sound:
        ready = False

        def payload(self) -> None:
            pass

        def ahead(self) -> None:
            self.ready = True

    sound = Sound()
    page._prepare({"broken": Broken(), "sound": sound})  # type: ignore[dict-item]
    assert sound.ready
    assert "preparing the dataset 'broken' failed" in caplog.text
