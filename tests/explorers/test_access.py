"""Who reaches a served explorer: other names, other sites, other people, and what they could bring with them."""

from __future__ import annotations

import json
import re
import socket
import stat
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from panel.config import config as panel_config
from tornado.web import decode_signed_value

from predspace_widgets.explorers.access import LONGEST_QUESTION, Access, _is_of_here, is_loopback
from predspace_widgets.explorers.login import Guesses, OAuth, kept_secret, login_of, password_login
from predspace_widgets.explorers.page import make_server
from predspace_widgets.training import load_recipe
from predspace_widgets.training.launch import Launcher
from predspace_widgets.trajectories.testing import geodesic_run, random_trajectories
from tests.explorers.serving import Answer, Served, serving

SECRET = "0123456789abcdef" * 4
PASSWORD = "corréct horse"
SCRIPT = '"></script><script>window.hacked=1</script>'
#: One of each kind of thing that is served.
PAGES = ["/", "/mine"]
PARTS = ["/stage-data/mine", "/stage-assets/plotly.min.js", "/stage-assets/page.js", "/stage-assets/page.css"]
PATHS = [*PAGES, *PARTS]
EVERY_PATH = [*PATHS, "/favicon.ico", "/stage-data/none", "/nothing"]
KINDS = ["payload", "view", "picture", "quantity", "samples", "ahead", "news", "refit", "save", "plotly", "training"]


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    datasets = {"mine": random_trajectories(n_checkpoints=2), "theirs": geodesic_run(2).assign_attrs(title=SCRIPT)}
    with serving(datasets) as server:
        yield server


@pytest.fixture(scope="module")
def locked() -> Iterator[Served]:
    """One that asks for a password."""
    with serving({"mine": geodesic_run(2)}, Access(login=password_login(PASSWORD, SECRET))) as server:
        yield server


def posted(server: Served, question: Any, **headers: str) -> Answer:
    return server.ask("/stage-data/mine", "POST", json.dumps(question).encode(), **headers)


# -- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", EVERY_PATH)
def test_a_name_that_leads_here_by_a_trick_gets_nothing(served: Served, path: str) -> None:
    """DNS rebinding: a page of evil.example asks evil.example, which now is this machine."""
    host = f"evil.example:{served.port}"
    for headers in ({}, {"Origin": f"http://{host}"}, {"Sec_Fetch_Site": "same-origin"}):
        answer = served.ask(path, Host=host, **headers)
        assert answer.status == 403
        assert b"--allow-host" in answer.body
        assert len(answer.body) < 200


def test_nor_a_question_and_no_websocket(served: Served) -> None:
    host = f"evil.example:{served.port}"
    for kind in KINDS:
        assert posted(served, {"kind": kind}, Host=host, Origin=f"http://{host}").status == 403
    assert served.open_websocket(Host=host, Origin=f"http://{host}").status == 403


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST", "localhost."])
def test_names_of_loopback_are_answered(served: Served, name: str) -> None:
    host = f"{name}:{served.port}"
    assert served.ask("/mine", Host=host).status == 200
    assert posted(served, {"kind": "ahead"}, Host=host, Origin=f"http://{host}").status == 200


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:1",
        "localhost.evil.example:PORT",
        "evil.example",
        "10.0.0.1:PORT",
        "a@localhost:PORT",
        "localhost:PORT, evil.example",
        "localhost:PORTx",
        "localhost:PORT/x",
        "",
        None,
        "[::1",
        "localhost:99999999",
    ],
)
def test_no_other_name_is(served: Served, host: str | None) -> None:
    answer = served.ask("/mine", Host=host and host.replace("PORT", str(served.port)))
    assert answer.status in (400, 403)
    assert len(answer.body) < 200


def test_two_names_are_none(served: Served) -> None:
    answer = served.ask("/mine", Host=f"{served.host}\r\nHost: evil.example")
    assert answer.status in (400, 403)


def test_elsewhere_the_address_that_was_asked_is_answered() -> None:
    access = Access("0.0.0.0", ["lab.example.org", "other.example:8000"])
    name = socket.gethostname()
    assert access.answers_to(f"{name.upper()}:5006", 5006)
    assert access.answers_to("10.0.0.7:5006", 5006, here="10.0.0.7")
    assert access.answers_to("[fe80::1]:5006", 5006, here="fe80::1")
    assert not access.answers_to("10.0.0.8:5006", 5006, here="10.0.0.7")
    assert not access.answers_to("10.0.0.7:5007", 5006, here="10.0.0.7")
    assert not Access().answers_to(f"{name}.example:5006", 5006)
    assert not access.answers_to(":5006", 5006, here="")


@pytest.mark.parametrize(
    ("host", "scheme", "answered"),
    [
        ("lab.example.org", "http", True),
        ("lab.example.org", "https", True),
        ("lab.example.org:5006", "http", True),
        ("lab.example.org:8000", "http", False),
        ("other.example:8000", "http", True),
        ("other.example", "https", False),
        ("x.lab.example.org", "https", False),
    ],
)
def test_allowed_hosts_are_answered_at_their_ports(host: str, scheme: str, answered: bool) -> None:
    access = Access(allow_hosts=["lab.example.org", "Other.Example:8000"])
    assert access.answers_to(host, 5006, scheme) is answered


def test_a_proxy_that_is_allowed_reaches_all() -> None:
    with serving({"mine": geodesic_run(2)}, Access(allow_hosts=["lab.example.org"])) as server:
        origin = "https://lab.example.org"
        for host in ("lab.example.org", server.host):  # some proxies tell their own name, others that of the server
            assert server.ask("/mine", Host=host).status == 200
            assert posted(server, {"kind": "ahead"}, Host=host, Origin=origin).status == 200
        elsewhere = "https://lab.example.org:8443"
        assert posted(server, {"kind": "ahead"}, Host="lab.example.org", Origin=elsewhere).status == 403


@pytest.mark.parametrize("name", ["", "a/b", "http://a", "a:b", "a b", "*@x"])
def test_what_is_no_name_is_not_allowed(name: str) -> None:
    with pytest.raises(ValueError, match="is not a host"):
        Access(allow_hosts=[name])


@pytest.mark.parametrize(
    "origin", ["*", "hub", "https://a/b", "https://a; script-src *", "'none'", "ftp://a", "https://"]
)
def test_what_is_no_origin_frames_nothing(origin: str) -> None:
    with pytest.raises(ValueError, match="is not an origin"):
        Access(frame_ancestors=[origin])
    assert "frame-ancestors 'self' https://hub:1;" in Access(frame_ancestors=["https://hub:1"]).headers()[POLICY]


def test_loopback_is_known() -> None:
    assert all(map(is_loopback, ["localhost", "127.0.0.1", "127.1.2.3", "::1", "[::1]", "LOCALHOST"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "", "10.0.0.1", "localhost.example", "example.org"]))


# -- other sites ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "http://localhost:1", "null", "", "http://localhost", "http://[", "localhost:PORT"],
)
def test_a_page_of_another_site_can_ask_nothing(served: Served, origin: str) -> None:
    origin = origin.replace("PORT", str(served.port))
    for kind in KINDS:
        assert posted(served, {"kind": kind}, Origin=origin).status == 403
    assert all(served.ask(path, Origin=origin).status == 403 for path in PATHS)
    assert served.open_websocket(Origin=origin).status == 403


def test_a_websocket_says_where_it_is_from(served: Served) -> None:
    """The pages need none, but who asks for one without saying it gets no further than who asks from elsewhere."""
    for path in ("/ws", "/mine/ws", "/mine", "/stage-data/mine"):
        assert served.open_websocket(path).status == 403
        assert served.open_websocket(path, Sec_WebSocket_Origin=f"http://{served.host}").status == 403
    assert served.open_websocket(Origin=f"http://{served.host}").status == 404


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_may_lead_here_and_no_more(served: Served, site: str) -> None:
    leads: dict[str, str] = {"Sec_Fetch_Site": site, "Sec_Fetch_Mode": "navigate"}
    assert served.ask("/mine", **leads).status == 200
    for path in PATHS:
        assert served.ask(path, **leads | {"Sec_Fetch_Mode": "no-cors"}).status == 403
    assert posted(served, {"kind": "payload"}, **leads).status == 403


def test_own_pages_ask_all_kinds(served: Served) -> None:
    own = {"Origin": f"http://{served.host}", "Sec_Fetch_Site": "same-origin", "Sec_Fetch_Mode": "cors"}
    assert {posted(served, {"kind": kind}, **own).status for kind in KINDS} == {200}
    assert {served.ask(path, **own).status for path in PATHS} == {200}


# -- what an answer may do --------------------------------------------------------------------------------------------

POLICY = "Content-Security-Policy"


@pytest.mark.parametrize("path", [*EVERY_PATH, "/%", "/stage-assets/", "/mine?next=//evil.example"])
def test_every_answer_says_what_it_may_load(served: Served, path: str) -> None:
    for answer in (served.ask(path), served.ask(path, "HEAD"), served.ask(path, "POST", b"x"), served.ask(path, "PUT")):
        policy = dict(part.strip().split(" ", 1) for part in answer.header(POLICY).split(";"))
        assert policy["default-src"] == policy["base-uri"] == "'none'"
        assert policy["form-action"] == policy["frame-ancestors"] == "'self'"
        assert "unsafe" not in policy["script-src"]
        assert answer.header("X-Content-Type-Options") == "nosniff"
        assert answer.header("Referrer-Policy") == "same-origin"
        assert answer.header("Cross-Origin-Resource-Policy") == "same-origin"
        assert answer.header("Server") == ""
        assert answer.header("Access-Control-Allow-Origin") == ""


@pytest.mark.parametrize("path", ["/mine", "/theirs"])
def test_all_scripts_and_styles_of_a_page_are_files_of_the_server(served: Served, path: str) -> None:
    page = served.ask(path).body.decode()
    assert re.findall("<script[^>]*>[^<]*", page) == ['<script type="module" src="stage-assets/page.js">']
    assert re.findall("<link[^>]*>", page)
    assert not re.search(r"""<style|<[^>]*\son\w+=|=\s*["']?(javascript|https?|//)""", page)


@pytest.mark.parametrize(
    "path",
    [
        f"/{quote(SCRIPT, safe='')}",
        f"/nothing?{SCRIPT.replace(' ', '')}",
        f"/stage-data/{quote(SCRIPT, safe='')}",
        "/stage-assets/none",
        "/%00",
        "/%ff",
        f"/mine/{quote(SCRIPT)}",
        f"/mine?next={quote(SCRIPT)}",
    ],
)
def test_an_error_is_a_plain_line(served: Served, path: str) -> None:
    answer = served.ask(path)
    assert answer.status in (400, 403, 404)
    assert answer.header("Content-Type") == "text/plain; charset=utf-8"
    assert answer.body.count(b"\n") == 1
    assert not any(word in answer.body for word in (b"<", b"hacked", b"Traceback", b"File "))


def test_an_error_inside_tells_nothing_of_it(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise RuntimeError("in /home/somebody/secret.zarr")

    monkeypatch.setattr("predspace_widgets.explorers.questions.answer_to", fails)
    answer = posted(served, {"kind": "payload"})
    assert (answer.status, answer.body) == (500, b"500: Internal Server Error\n")


@pytest.mark.parametrize(
    "path", ["/metadata", "/mine/ws", "/static/js/bokeh.js", "/static/extensions/panel/panel.min.js"]
)
def test_what_the_page_does_not_need_is_not_there(served: Served, path: str) -> None:
    assert served.ask(path).status == 404


def test_a_visitor_imports_nothing(served: Served) -> None:
    """Panel has a route that imports the module it is asked for."""
    assert "this" not in sys.modules
    assert served.ask("/components/this/s/_css/x").status == 404
    assert "this" not in sys.modules


@pytest.mark.parametrize("name", ["login", "logout", "stage-assets", "stage-data", ".."])
def test_no_dataset_stands_in_the_way_of_the_login(name: str) -> None:
    with pytest.raises(ValueError, match=f"no page can be at '{name}'"):
        make_server({"mine": geodesic_run(2), name: geodesic_run(2)}, 1)


# -- files ------------------------------------------------------------------------------------------------------------

ROOTS = ["/stage-assets/", "/stage-assets/page.", "/static/", "/static/extensions/panel/", "/stage-data/", "/"]
UP = ["../", "..%2f", "%2e%2e/", "%2e%2e%2f", "..%5c", "....//", "..%c0%af"]


@pytest.mark.parametrize("root", ROOTS)
def test_no_address_leads_out_of_what_is_served(served: Served, root: str) -> None:
    target = Path(__file__).resolve().relative_to("/").as_posix()
    paths = [f"{root}{up * depth}{target}" for up in UP for depth in (1, 3, 6, 12)]
    paths += [f"{root}/{target}", f"{root}%2f{target}", f"{root}file:///{target}"]
    for path in paths:
        answer = served.ask(path)
        assert answer.status in (400, 403, 404), path
        assert b"leads out of what" not in answer.body


OPENED: list[str] = []
WATCHED: list[str] = []


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("open", "os.listdir", "os.scandir") and WATCHED and str(arguments[0]).startswith(WATCHED[0]):
        OPENED.append(str(arguments[0]))


sys.addaudithook(_watch)


def test_no_question_opens_a_file(served: Served, tmp_path: Path) -> None:
    bait = tmp_path / "bait.zarr"
    bait.mkdir()
    WATCHED[:] = [str(bait)]
    try:
        list(bait.iterdir())
        assert OPENED, "nothing is watched"
        OPENED.clear()
        for kind in KINDS:
            for value in (str(bait), f"file://{bait}", {"path": str(bait)}, [str(bait)]):
                named = dict.fromkeys(("view", "name", "path", "url", "store", "source", "data", "since"), value)
                choices = dict.fromkeys(("curves", "source", "samples", "sample", "frozen", "path", "where"), value)
                trained = dict.fromkeys(("recipe", "task", "method", "seed", "trained"), value)
                for act in ("start", "offers"):
                    posted(served, {"kind": kind, "act": act, "choices": choices, **named, **trained})
        assert OPENED == []
    finally:
        WATCHED.clear()


def test_a_training_is_of_a_built_in_recipe_not_of_a_file(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("title: mine\n")
    with pytest.raises(ValueError, match="mine"):
        load_recipe(str(recipe))  # a path is a recipe elsewhere
    for path in (str(recipe), f"file://{recipe}", "../recipes/digits-methods"):
        with pytest.raises(ValueError, match="no recipe"):
            Launcher(tmp_path / "trained").start(random_trajectories(), path, "red", "supervised", 0)
    assert not (tmp_path / "trained").exists()


# -- sizes ------------------------------------------------------------------------------------------------------------


def test_a_long_body_is_refused_before_it_is_read(served: Served) -> None:
    answer = served.ask("/stage-data/mine", "POST", b"[]", Content_Length=str(10**12))
    assert answer.status in (400, 413)
    assert served.ask("/stage-data/mine", "POST", b"[" * (LONGEST_QUESTION + 1)).status == 413


# -- a login ----------------------------------------------------------------------------------------------------------


def log_in(server: Served, password: str = PASSWORD, going_to: str = "/", **headers: str) -> Answer:
    form = f"password={quote(password)}&next={quote(going_to, safe='')}".encode()
    return server.ask("/login", "POST", form, Content_Type="application/x-www-form-urlencoded", **headers)


def cookie_of(answer: Answer) -> dict[str, str]:
    return {"Cookie": f"user={answer.cookies['user']}"}


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_seen_without_the_password(locked: Served, path: str) -> None:
    for cookie in ("", "user=visitor", 'user="2|1:0|10:1|4:user|8:dmlzaXRvcg==|abc"', "is_guest=1"):
        answer = locked.ask(path, Cookie=cookie)
        assert answer.status == (302 if path in PAGES else 403)
        assert len(answer.body) < 100


def test_nor_asked(locked: Served) -> None:
    cookie = cookie_of(log_in(locked))
    origin = {"Origin": f"http://{locked.host}"}
    for kind in KINDS:
        assert posted(locked, {"kind": kind}, **origin).status == 403
        assert posted(locked, {"kind": kind}, **origin, **cookie).status == 200
    assert locked.open_websocket(**cookie).status == 403


def test_with_it_all_is_seen(locked: Served) -> None:
    cookie = cookie_of(log_in(locked))
    assert {locked.ask(path, **cookie).status for path in PATHS} == {200}


def test_the_page_that_asks_leads_back(locked: Served) -> None:
    asked = locked.ask("/mine?curves=red")
    assert asked.header("Location") == "./login?next=%2Fmine%3Fcurves%3Dred"
    assert locked.ask("/mine/").header("Location").startswith("./../login")  # as one does who is not there
    form = locked.ask("/login?next=%2Fmine%3Fcurves%3Dred")
    assert b'value="/mine?curves=red"' in form.body
    assert log_in(locked, going_to="/mine?curves=red").header("Location") == "./mine?curves=red"
    assert not any(word in form.body for word in (b"http:", b"https:", b"//", b"<script"))


def test_a_login_under_a_path_leads_back_too() -> None:
    with serving({"mine": geodesic_run(2)}, Access(login=password_login(PASSWORD, SECRET)), "/some/where/") as server:
        assert server.ask("/some/where").header("Location") == "/some/where/"
        assert server.ask("/some/where/mine?a=1").header("Location") == "./login?next=%2Fsome%2Fwhere%2Fmine%3Fa%3D1"
        assert server.ask("/some/where/").header("Location") == "./login?next=%2Fsome%2Fwhere%2F"
        assert server.ask("/some/where/login?next=%2Fmine").status == 200
        assert server.ask("/mine").status in (302, 403, 404)


ELSEWHERE = ["//evil.example", "///evil.example", "/\\evil.example", "https://evil.example", "\\\\evil.example"]
ELSEWHERE += ["javascript:alert(1)", "/\t/evil.example", "/ /../\n//evil.example", ".//evil.example", "evil.example"]


@pytest.mark.parametrize("address", ELSEWHERE)
def test_a_login_leads_nowhere_else(locked: Served, address: str) -> None:
    assert locked.ask(f"/login?next={quote(address, safe='')}").status == 403
    went = log_in(locked, going_to=address)
    assert went.status in (302, 500) if "\n" in address else went.status == 302
    location = went.header("Location")
    assert location.startswith("./") or went.status == 500
    assert urlsplit(urljoin(f"http://{locked.host}/login", location.replace("\\", "/"))).netloc == locked.host


@given(st.text(alphabet="/\\.:@a\t\n ", max_size=8))
def test_what_is_of_here_stays_here(address: str) -> None:
    """As a browser reads it, which drops tabs and newlines and takes backslashes for slashes."""
    if _is_of_here(address):
        read = address.replace("\t", "").replace("\n", "").strip().replace("\\", "/")
        assert read.startswith("/")
        assert not read.startswith("//")


def test_a_wrong_password_is_said_so(locked: Served) -> None:
    for wrong in ("", PASSWORD[:-1], PASSWORD + " ", PASSWORD.upper()):
        answer = log_in(locked, wrong)
        assert answer.status == 403
        assert "user" not in answer.cookies
        assert b"This is not the password." in answer.body


@pytest.mark.parametrize("field", ["error", "username", "errormessage", "asks_user"])
def test_the_login_page_shows_nothing_that_it_was_sent(locked: Served, field: str) -> None:
    answer = locked.ask(f"/login?{field}={quote(SCRIPT)}")
    assert answer.status == 200
    assert b"hacked" not in answer.body
    answer = locked.ask(f"/login?next=/{quote(SCRIPT, safe='')}")
    assert SCRIPT.encode() not in answer.body
    assert b"&lt;script&gt;window.hacked=1" in answer.body


def test_the_cookie_is_for_this_server_alone(locked: Served) -> None:
    [cookie] = [value for name, value in log_in(locked).headers if name == "Set-Cookie"]
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    [cookie] = [value for name, value in log_in(locked, X_Forwarded_Proto="https").headers if name == "Set-Cookie"]
    assert "Secure" in cookie.split("; ")


def test_another_site_logs_nobody_in(locked: Served) -> None:
    assert log_in(locked, Origin="http://evil.example").status == 403
    assert log_in(locked, Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate").status == 403


def test_a_login_survives_a_restart_and_ends_with_the_password(locked: Served) -> None:
    cookie = cookie_of(log_in(locked))
    for password, secret, status in ((PASSWORD, SECRET, 200), ("another", SECRET, 302), (PASSWORD, SECRET[1:], 302)):
        with serving({"mine": geodesic_run(2)}, Access(login=password_login(password, secret))) as again:
            assert again.ask("/mine", **cookie).status == status


def test_the_environment_does_not_weaken_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PANEL_COOKIE_SECRET", "known to all")
    login = password_login(PASSWORD, SECRET)
    with serving({"mine": geodesic_run(2)}, Access(login=login)) as server:
        [cookie] = [value for name, value in log_in(server).cookies.items() if name == "user"]
    assert decode_signed_value("known to all", "user", cookie.strip('"')) is None
    assert decode_signed_value(login.options["cookie_secret"], "user", cookie.strip('"')) == b"visitor"


def test_the_login_is_found_under_a_prefix() -> None:
    access = Access(login=password_login(PASSWORD, SECRET))
    with serving({"mine": geodesic_run(2)}, access, prefix="/lab/room") as server:
        asked = server.ask("/lab/room/mine")
        assert urljoin("/lab/room/mine", asked.header("Location")) == "/lab/room/login?next=%2Flab%2Froom%2Fmine"
        form = f"password={quote(PASSWORD)}&next=%2Flab%2Froom%2Fmine".encode()
        came = server.ask("/lab/room/login", "POST", form, Content_Type="application/x-www-form-urlencoded")
        assert urljoin("/lab/room/login", came.header("Location")) == "/lab/room/mine"
        assert server.ask("/lab/room/mine", **cookie_of(came)).status == 200
        assert server.ask("/lab/room/stage-data/mine").status == 403


def test_logging_out(locked: Served) -> None:
    answer = locked.ask("/logout", **cookie_of(log_in(locked)))
    assert answer.status == 200
    assert answer.cookies["user"] in ("", '""')
    assert b'href="login"' in answer.body
    assert not any(word in answer.body for word in (b"http:", b"https:", b"//", b"<script"))


def test_guesses_are_few() -> None:
    with serving({"mine": geodesic_run(2)}, Access(login=password_login(PASSWORD, SECRET))) as server:
        statuses = [log_in(server, f"guess {number}").status for number in range(12)]
        assert statuses == [403] * 10 + [429] * 2
        answer = log_in(server)
        assert answer.status == 429
        assert answer.header("Retry-After") == "60"
        assert "user" not in answer.cookies


def test_behind_a_proxy_each_visitor_has_guesses() -> None:
    access = Access(allow_hosts=["lab.example.org"], login=password_login(PASSWORD, SECRET))
    with serving({"mine": geodesic_run(2)}, access) as server:
        # What a visitor writes himself stands before what the proxy says of him.
        told = [f"10.0.1.{number}, 10.0.0.1" for number in range(11)]
        assert [log_in(server, "a guess", X_Forwarded_For=one).status for one in told] == [403] * 10 + [429]
        assert log_in(server, X_Forwarded_For="10.0.0.2").status == 302


def test_without_a_proxy_no_visitor_says_where_he_is() -> None:
    with serving({"mine": geodesic_run(2)}, Access(login=password_login(PASSWORD, SECRET))) as server:
        told = [f"10.0.0.{number}" for number in range(11)]
        assert [log_in(server, "a guess", X_Forwarded_For=one).status for one in told] == [403] * 10 + [429]


@pytest.mark.parametrize(
    ("peer", "forwarded", "visitor"),
    [
        ("127.0.0.1", "10.0.0.1", "10.0.0.1"),
        ("::1", "10.0.0.1,10.0.0.2", "10.0.0.2"),
        ("127.0.0.1", "2001:DB8::1", "2001:db8::1"),
        ("127.0.0.1", "::ffff:10.0.0.1", "10.0.0.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "10.0.0.1, unknown", "127.0.0.1"),
        ("127.0.0.1", "10.0.0.1, 10.0.0.999", "127.0.0.1"),
        ("10.0.0.7", "10.0.0.1", "10.0.0.7"),
    ],
)
def test_a_proxy_on_this_machine_says_who_a_visitor_is(peer: str, forwarded: str, visitor: str) -> None:
    assert Access(allow_hosts=["lab.example.org"]).visitor(peer, forwarded) == visitor
    assert Access().visitor(peer, forwarded) == peer


def test_guesses_are_forgotten_and_do_not_pile_up() -> None:
    now = [0.0]
    guesses = Guesses(lambda: now[0])
    for number in range(300):
        guesses.count(f"10.0.{number % 100}.1")
    assert not guesses.too_many("10.0.0.1")
    for _ in range(7):
        guesses.count("10.0.0.1")
    assert guesses.too_many("10.0.0.1")
    for number in range(10):
        guesses.count(f"2001:db8::{number}")
    assert guesses.too_many("2001:db8::ffff")
    assert not guesses.too_many("2001:db8:1::1")
    now[0] = 61.0
    assert not guesses.too_many("10.0.0.1")
    guesses.count("10.0.0.1")
    assert len(guesses._wrong) == 1


# -- what the command is told -----------------------------------------------------------------------------------------


def test_the_secret_is_made_once_and_for_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    secret = kept_secret()
    file = tmp_path / "state" / "predspace_widgets" / "cookie-secret"
    assert len(secret) == 64
    assert kept_secret() == secret == file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["cookie-secret"]
    file.chmod(0o640)
    with pytest.raises(ValueError, match="others can read"):
        kept_secret()
    file.chmod(0o600)
    file.write_text("short")
    with pytest.raises(ValueError, match="holds no secret"):
        kept_secret()


def test_elsewhere_than_on_loopback_there_is_a_login(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("geheim\n")
    for address in ("0.0.0.0", "::", "", "lab.example.org"):
        with pytest.raises(ValueError, match="lets other machines in: say who"):
            login_of(address)
        assert login_of(address, no_login=True) is None
        assert Access(address).warnings() == [
            f"whoever reaches this machine sees all that is served: {address} asks for no login"
        ]
        for login in (login_of(address, "geheim", cookie_secret=SECRET), login_of(address, None, file, False, SECRET)):
            assert login is not None
            assert login.options["auth_provider"].is_right("geheim")
            assert Access(address, login=login).warnings() == []
    assert login_of("localhost") is None
    assert login_of("localhost", "geheim", cookie_secret=SECRET) is not None
    assert Access().warnings() == []


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"password": "a", "no_login": True}, "two answers to who is let in"),
        ({"password": "a", "oauth": OAuth("github", "a", "b")}, "two answers"),
        ({"password": ""}, "the password is empty"),
        ({"oauth": OAuth("gitbub", "a", "b")}, "no OAuth provider 'gitbub': choose from .*github"),
        ({"oauth": OAuth("github", "a")}, "needs --oauth-key and --oauth-secret"),
        ({"oauth": OAuth(users=["me"])}, "--allow-user names users of an --oauth-provider"),
    ],
)
def test_a_login_that_is_none_is_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        login_of("0.0.0.0", cookie_secret=SECRET, **options)


# -- OAuth ------------------------------------------------------------------------------------------------------------


class _Provider(BaseHTTPRequestHandler):
    """Gives a token for a code, and says whose it is."""

    def do_POST(self) -> None:
        sent = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        right = sent["code"] == ["right"] and sent["client_secret"] == ["its secret"]
        self._tell({"access_token": "token"} if right else {"error": "wrong"})

    def do_GET(self) -> None:
        self._tell({"email": "ann@example.org"})

    def _tell(self, what: dict[str, str]) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(what).encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A provider of Panel's kind "generic"; Panel keeps what it is told of it for the process, which is undone."""
    with ThreadingHTTPServer(("localhost", 0), _Provider) as server:
        address = f"http://localhost:{server.server_port}"
        for name in ("AUTHORIZE", "TOKEN", "USER"):
            monkeypatch.setenv(f"PANEL_OAUTH_{name}_URL", f"{address}/{name.lower()}")
        Thread(target=server.serve_forever, daemon=True).start()
        with panel_config.set(oauth_provider=None, oauth_key=None, oauth_secret=None, cookie_secret=None):
            yield address
        server.shutdown()


def through_the_provider(server: Served, code: str = "right", path: str = "/mine") -> Answer:
    """The last answer of a login by a provider."""
    asked = server.ask("/" + server.ask(path).header("Location").removeprefix("./"))
    assert asked.status == 302
    query = parse_qs(urlsplit(asked.header("Location")).query)
    assert query["client_id"] == ["its key"]
    back = urlencode({"code": code, "state": query["state"][0]})
    cookie = "; ".join(f"{name}={value}" for name, value in asked.cookies.items())
    led = {"Cookie": cookie, "Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    asked = server.ask(f"/?{back}", **led)
    return server.ask("/" + asked.header("Location").removeprefix("./"), **led)


@pytest.mark.parametrize(("users", "status"), [((), 200), (("ann@example.org",), 200), (("bob@example.org",), 403)])
def test_a_login_by_a_provider(provider: str, users: tuple[str, ...], status: int) -> None:
    oauth = OAuth("generic", "its key", "its secret", users=users)
    access = Access("0.0.0.0", login=login_of("0.0.0.0", cookie_secret=SECRET, oauth=oauth))
    assert len(access.warnings()) == (not users)
    with serving({"mine": geodesic_run(2)}, access) as server:
        assert [server.ask(path).status for path in PATHS] == [302] * 2 + [403] * 4
        assert server.ask("/mine").header("Location") == "./login?next=%2Fmine"
        assert through_the_provider(server, "wrong").status in (400, 401)
        came = through_the_provider(server)
        cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in came.cookies.items() if value)}
        assert "user" in came.cookies
        assert [server.ask(path, **cookie).status for path in PATHS] == [status] * 6
        assert posted(server, {"kind": "payload"}, **cookie).status == status
        assert server.ask("/login?next=///evil.example").status == 403
        error = server.ask(f"/login?error={quote(SCRIPT)}&error_description={quote(SCRIPT)}")
        assert (error.status, error.body) == (401, b"401: Unauthorized\n")
        assert server.ask("/logout").status == 200
