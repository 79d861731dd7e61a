"""The picture in three dimensions, in a browser: what lies where, what hands do to it, what names cannot do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

import predspace_widgets
from predspace_widgets.geometry.ellipses import ellipses, region_radius
from predspace_widgets.views.style import PALETTE, plain
from tests.browser.conftest import opened

_STAGE = Path(predspace_widgets.__file__).parent / "explorers" / "stage"
_NAMES = ["Scene", "SvgContext", "inkMap", "placeLabels", "shortenText", "legible", "drawLines", "scaleColor"]
_HOSTILE = "<img src=x onerror=alert(1)>"
_DARK = {"ink": "#e6eaf0", "muted": "#93a0b0", "grid": "#2a323d", "page": "#14181f"}
_SIZES = [(600, 330), (900, 600), (400, 300)]

Figure = dict[str, Any]


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """One for all tests: `_open` writes it anew."""
    with opened(browser) as page:
        yield page


def _joined() -> str:
    """The modules in one scope, as the stage sends them."""
    sources = [(_STAGE / name).read_text(encoding="utf-8") for name in ("ink.js", "space.js", "scene.js")]
    body = re.sub(r"^(import .*\n|export )", "", "\n".join(sources), flags=re.MULTILINE)
    return f"(() => {{\n{body}\nObject.assign(window, {{{', '.join(_NAMES)}}});\n}})()"


def _trace(points: np.ndarray, mode: str = "lines", **options: Any) -> Figure:
    """A trace through points (n, 3); a row of NaN is a gap, None in JSON."""
    columns = [[None if np.isnan(value) else float(value) for value in column] for column in points.T]
    return {"type": "scatter3d", "mode": mode, **dict(zip("xyz", columns, strict=True)), **options}


def _note(point: np.ndarray, text: str, **options: Any) -> Figure:
    return {**dict(zip("xyz", point.tolist(), strict=True)), "text": plain(text), **options}


def _figure(traces: list[Figure], notes: list[Figure] | None = None, **scene: Any) -> Figure:
    titles = {f"{letter}axis": {"title": {"text": f"InPCA {k}, 12% of stress"}} for k, letter in enumerate("xyz", 1)}
    return {"data": traces, "layout": {"scene": {**titles, "annotations": notes or [], **scene}}}


def _curves(n_curves: int = 13, n_seeds: int = 5, n_points: int = 30) -> Figure:
    """Curves from ignorance to ends near truth: runs, means, heads and a label each."""
    rng = np.random.default_rng(0)
    start, truth, progress = np.array([0.6, 0, 0]), np.array([-0.6, 0, 0]), np.linspace(0, 1, n_points)[:, None]
    traces, heads, notes = [], [], []
    for number in range(n_curves):
        end = truth + rng.normal(size=3) * [0.1, 0.2, 0.15]
        mean = start + progress * (end - start) + progress * (1 - progress) * rng.normal(size=3) * 0.4
        runs = [mean + progress * rng.normal(size=3) * 0.04 for _ in range(n_seeds)]
        runs = np.vstack([np.vstack([run, np.full((1, 3), np.nan)]) for run in runs])
        rows = list(range(len(runs)))
        name, color = f"curve {number}", PALETTE[number % len(PALETTE)]
        meta = {"curve": name}
        traces.append(_trace(runs, line={"color": color, "width": 2}, opacity=0.4, meta={**meta, "rows": rows}))
        traces.append(_trace(mean, line={"color": color, "width": 7}, meta=meta))
        heads.append(_trace(mean[-1:], "markers", marker={"color": color, "size": 8}, meta=meta))
        notes.append(_note(mean[-1], name, font={"color": color, "size": 12}))
    front = [
        _trace(start[None], "markers", marker={"color": "#1f2933", "size": 7}, meta={"role": "ignorance"}),
        _trace(truth[None], "markers+text", text=["★"], meta={"role": "truth"}),
    ]
    return _figure([*traces, *heads, *front], notes)


def _open(page: Page, width: int = 900, height: int = 600) -> None:
    """A scene in a shadow tree, that tells what it is told."""
    page.set_content(
        f"<body style='margin:0; height:3000px'><div id='host' style='width:{width}px; height:{height}px'></div></body>"
    )
    page.evaluate(_joined())
    page.evaluate(
        """() => {
          window.told = [];
          const tell = (name) => (...values) => told.push([name, ...values]);
          const host = document.getElementById('host');
          const root = host.attachShadow({mode: 'open'}).appendChild(document.createElement('div'));
          root.style.height = '100%';
          const [camera, hover, click, doubleClick] = ['camera', 'hover', 'click', 'doubleClick'].map(tell);
          window.scene = new Scene(root, {camera, hover, click, doubleClick});
          // The colour of a layer's pixel, as [red, green, blue, opacity].
          window.pixel = (layer, x, y) => [...scene[layer].getContext('2d').getImageData(x, y, 1, 1).data];
          // How many pixels of a layer are of this colour.
          window.count = (layer, color) => {
            const {data} = scene[layer].getContext('2d').getImageData(0, 0, scene[layer].width, scene[layer].height);
            let found = 0;
            for (let k = 0; k < data.length; k += 4) {
              if (data[k + 3] && color.every((part, place) => Math.abs(data[k + place] - part) < 3)) found += 1;
            }
            return found;
          };
        }"""
    )


def _draw(page: Page, figure: Figure, theme: dict[str, str] | None = None) -> None:
    page.evaluate("([figure, theme]) => scene.draw(figure, theme)", [figure, theme])


def _rgb(color: str) -> list[int]:
    return [int(color[k : k + 2], 16) for k in (1, 3, 5)]


def _contrast(color: str, page: str) -> float:
    """The contrast of two colours by the formula of WCAG 2."""

    def luminance(name: str) -> float:
        parts = [part / 255 for part in _rgb(name)]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    dark, light = sorted((luminance(color), luminance(page)))
    return (light + 0.05) / (dark + 0.05)


def _overlapping(boxes: list[dict[str, float]]) -> list[tuple[int, int]]:
    """Pairs of boxes that share more than an edge."""
    sides = np.array([[box[side] for side in ("left", "top", "right", "bottom")] for box in boxes]).reshape(-1, 4)
    low, high = sides[:, :2], sides[:, 2:]  # (n, 2)
    shared = np.minimum(high[:, None], high[None]) - np.maximum(low[:, None], low[None])  # (n, n, 2)
    return [(one, two) for one, two in np.argwhere((shared > 1e-6).all(axis=2)) if one < two]


def _outside(boxes: list[dict[str, float]], width: int, height: int) -> list[dict[str, float]]:
    return [box for box in boxes if box["left"] < 0 or box["top"] < 0 or box["right"] > width or box["bottom"] > height]


# -- what lies where ---------------------------------------------------------------------------------------------------


def test_curves_are_drawn_and_a_lit_one_lies_over_them(page: Page) -> None:
    _open(page)
    figure = _curves()
    _draw(page, figure)
    for color in PALETTE:
        assert page.evaluate("color => count('lower', color)", _rgb(color)) > 100
    lit = {**figure["data"][3], "line": {"color": "#ff00ff", "width": 9}}
    page.evaluate("lit => { scene.over([lit], []); scene.dim(0.25); }", lit)
    x, y, _ = page.evaluate("lit => scene.project(lit.x[10], lit.y[10], lit.z[10])", lit)
    assert page.evaluate("([x, y]) => pixel('upper', x, y)", [x, y]) == [255, 0, 255, 255]
    assert page.evaluate("count('lower', [255, 0, 255])") == 0
    assert page.evaluate("getComputedStyle(scene.lower).opacity") == "0.25"
    page.evaluate("scene.over([], [])")
    assert page.evaluate("count('upper', [255, 0, 255])") == 0


def test_a_nearer_line_crosses_in_front(page: Page) -> None:
    _open(page)
    # From the eye at -y: the first trace is far, whatever the order of the traces.
    across = np.array([[-1.0, 0, 0], [0, 0, 0], [1, 0, 0]])
    upright = across[:, [2, 1, 0]]
    eye = {"eye": {"x": 0, "y": -2.2, "z": 0}, "center": {"x": 0, "y": 0, "z": 0}}
    for near, far in (("#ff0000", "#0000ff"), ("#0000ff", "#ff0000")):
        depth = {"#ff0000": -0.3 if near == "#ff0000" else 0.3, "#0000ff": -0.3 if near == "#0000ff" else 0.3}
        red = _trace(across + np.array([0, depth["#ff0000"], 0]), line={"color": "#ff0000", "width": 12})
        blue = _trace(upright + np.array([0, depth["#0000ff"], 0]), line={"color": "#0000ff", "width": 12})
        _draw(page, _figure([red, blue], camera=eye))
        x, y, _ = page.evaluate("d => scene.project(0, d, 0)", depth[near])
        assert page.evaluate("([x, y]) => pixel('lower', x, y)", [x, y])[:3] == _rgb(near), (near, far)


def test_truth_and_ignorance_lie_in_front_of_everything(page: Page) -> None:
    _open(page)
    figure = _curves()
    truth = [-0.6, 0, 0]
    _draw(page, figure)
    through = np.array([[-0.6, -1, 0], truth, [-0.6, 1, 0]])
    lit = _trace(through, line={"color": "#ff00ff", "width": 20})
    page.evaluate("lit => scene.over([lit], [])", lit)
    for point in (truth, [0.6, 0, 0]):
        x, y, _ = page.evaluate("point => scene.project(...point)", point)
        assert page.evaluate("([x, y]) => pixel('upper', x, y)", [x, y]) == [*_rgb("#1f2933"), 255]
    assert page.evaluate("count('upper', [255, 0, 255])") > 500


@pytest.mark.parametrize(("width", "height"), _SIZES)
def test_labels_and_titles_lie_inside_and_apart(page: Page, width: int, height: int) -> None:
    _open(page, width, height)
    _draw(page, _curves())
    for turn in np.linspace(0, 6, 9):
        rise = float(np.sin(3 * turn))
        frame = page.evaluate(
            """([turn, rise]) => {
              if (turn) { scene.eye = {...scene.eye, turn, rise}; scene.refresh(); }
              const {grid: {titles, numbers}, labels} = scene.frame;
              return {titles, numbers, labels};
            }""",
            [float(turn), rise],
        )
        assert sorted(title["text"][:7] for title in frame["titles"]) == ["InPCA 1", "InPCA 2", "InPCA 3"]
        assert len(frame["labels"]) == 13
        assert len(frame["numbers"]) >= 3
        boxes = [*frame["labels"], *frame["titles"]]
        assert _outside([*boxes, *frame["numbers"]], width, height) == []
        assert _overlapping(boxes) == []
        assert _overlapping(frame["numbers"]) == []


@pytest.mark.parametrize(("width", "height"), _SIZES)
def test_the_whole_box_fits_from_everywhere(page: Page, width: int, height: int) -> None:
    _open(page, width, height)
    _draw(page, _curves())
    corners = page.evaluate(
        """() => [0, 1, 2, 3, 4, 5, 6, 7, 8].flatMap((turn) => {
          if (turn) { scene.eye = {...scene.eye, turn, rise: Math.sin(2 * turn)}; scene.refresh(); }
          const {low, high} = scene.box;
          const corner = (k) => low.map((at, axis) => (k & (1 << axis) ? high[axis] : at));
          return [0, 1, 2, 3, 4, 5, 6, 7].map((k) => scene.project(...corner(k)));
        })"""
    )
    places = np.array(corners)[:, :2]  # (9 * 8, 2)
    assert (places >= 0).all()
    assert (places <= [width, height]).all()
    home = places[:8]
    span = np.ptp(home, axis=0) / [width, height]
    assert span.max() > 0.75  # as large as fits from the home camera


def test_all_axes_have_one_scale_and_the_camera_is_plotlys(page: Page) -> None:
    _open(page)
    cube = np.array([[-1.0, -2, -0.5], [1, 2, 0.5]])
    for eye, right, up in (
        ({"x": 2.2, "y": 0, "z": 0}, [0, 1, 0], [0, 0, 1]),
        ({"x": 0, "y": -2.2, "z": 0}, [1, 0, 0], [0, 0, 1]),
        ({"x": -2.2, "y": 0, "z": 0}, [0, -1, 0], [0, 0, 1]),
    ):
        _draw(page, _figure([_trace(cube)], camera={"eye": eye, "center": {"x": 0, "y": 0, "z": 0}}))
        middle, aside, above = (
            np.array(page.evaluate("point => scene.project(...point)", point)) for point in ([0, 0, 0], right, up)
        )
        assert np.allclose(aside[:2] - middle[:2], [aside[0] - middle[0], 0], atol=1e-3)
        assert np.allclose(above[:2] - middle[:2], [0, above[1] - middle[1]], atol=1e-3)
        assert aside[0] - middle[0] == pytest.approx(middle[1] - above[1], rel=1e-4)
        assert aside[0] - middle[0] > 10
        camera = page.evaluate("scene.camera")
        assert [camera["eye"][letter] for letter in "xyz"] == pytest.approx([eye[letter] for letter in "xyz"])
    nearer, farther = (page.evaluate("x => scene.project(x, 0, 0)", x) for x in (-1, 1))
    assert nearer[2] < farther[2]


@pytest.mark.parametrize(
    ("points", "drawn"),
    [
        (np.array([[0.0, 0, 0], [1, 1, 1], [np.nan] * 3, [0, 1, 0], [1, 0, np.nan], [1, 0, 1]]), True),
        (np.array([[0.25, 0.5, 0.75]]), True),
        (np.full((5, 3), 0.3), True),
        (np.array([[0.0, 1, 2], [1, 1, 2]]), True),
        (np.zeros((0, 3)), False),
        (np.full((3, 3), np.nan), False),
    ],
    ids=["gaps", "one point", "equal points", "a flat box", "no points", "only gaps"],
)
def test_unusual_points(page: Page, points: np.ndarray, drawn: bool) -> None:
    _open(page)
    line = {"color": "#ff0000", "width": 6}
    _draw(page, _figure([_trace(points, line=line, meta={"curve": "a"})]))
    assert (page.evaluate("count('lower', [255, 0, 0])") > 0) == drawn
    assert len(page.evaluate("scene.frame.grid.titles")) == 3
    assert np.isfinite(page.evaluate("scene.project(0.5, 0.5, 0.5)")).all()
    assert "NaN" not in page.evaluate("scene.svg()")
    for point in points[~np.isnan(points).any(axis=1)].tolist():
        x, y, _ = page.evaluate("point => scene.project(...point)", point)
        hit = page.evaluate("([x, y]) => scene.pick(x, y)", [x, y])
        assert [hit["x"], hit["y"]] == pytest.approx([x, y], abs=1e-3)


def test_no_line_is_drawn_across_a_gap(page: Page) -> None:
    _open(page)
    points = np.array([[0.0, 0, 0], [0, 1, 0], [np.nan] * 3, [1, 1, 0], [1, 0, 1]])
    for layer in ("base", "over"):
        trace = _trace(points, line={"color": "#ff0000", "width": 6}, meta={"curve": "a", "layer": layer})
        _draw(page, _figure([trace]))
        canvas = "lower" if layer == "base" else "upper"
        for point, painted in (([0, 0.5, 0], True), ([0.5, 1, 0], False)):
            x, y, _ = page.evaluate("point => scene.project(...point)", point)
            assert (page.evaluate("([c, x, y]) => pixel(c, x, y)", [canvas, x, y])[:3] == [255, 0, 0]) == painted
            assert (page.evaluate("([x, y]) => scene.pick(x, y)", [x, y]) is not None) == painted


def test_a_dash_leaves_part_of_a_line_free(page: Page) -> None:
    _open(page)
    points = np.column_stack([np.linspace(0, 1, 40), np.linspace(0, 1, 40), np.linspace(0, 1, 40)])
    ink = {}
    for dash in ("solid", "dash", "dot"):
        _draw(page, _figure([_trace(points, line={"color": "#ff0000", "width": 4, "dash": dash})]))
        ink[dash] = page.evaluate("count('lower', [255, 0, 0])")
    assert 0.3 * ink["solid"] < ink["dash"] < 0.75 * ink["solid"]
    assert 0.1 * ink["solid"] < ink["dot"] < 0.6 * ink["solid"]


def test_values_colour_dots_along_the_scale(page: Page) -> None:
    _open(page)
    points = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    marker = {"size": 14, "color": [0, 10, 5, None], "colorscale": "Cividis", "cmin": 0, "cmax": 10}
    _draw(page, _figure([_trace(points, "markers", marker=marker)]))
    seen = [
        page.evaluate("point => { const [x, y] = scene.project(...point); return pixel('lower', x, y); }", point)[:3]
        for point in points.tolist()
    ]
    assert seen[:2] == [[0, 32, 76], [255, 233, 69]]  # the ends of Cividis
    assert np.allclose(seen[2], [124, 123, 118], atol=8)
    assert seen[3] == [153, 153, 153]


def test_dots_may_have_a_colour_each(page: Page) -> None:
    _open(page)
    points = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 1]])
    marker = {"size": 14, "color": ["#ff0000", "#00ff00", "#0000ff"]}
    _draw(page, _figure([_trace(points, "markers", marker=marker)]))
    seen = [
        page.evaluate("point => { const [x, y] = scene.project(...point); return pixel('lower', x, y); }", point)[:3]
        for point in points.tolist()
    ]
    assert seen == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]


# -- what hands do -----------------------------------------------------------------------------------------------------


def test_a_drag_turns_the_picture_with_the_pointer(page: Page) -> None:
    _open(page)
    _draw(page, _curves())
    before = page.evaluate("scene.camera")
    near = [page.evaluate("scene.box.high[0]"), page.evaluate("scene.box.low[1]"), 0]  # as the eye: at x > 0, y < 0
    start = page.evaluate("point => scene.project(...point)", near)
    page.mouse.move(450, 300)
    page.mouse.down()
    page.mouse.move(480, 300, steps=4)
    page.mouse.up()
    page.wait_for_function("told.some(([name, , moving]) => name === 'camera' && moving === false)")
    told = page.evaluate("told.filter(([name]) => name === 'camera')")
    assert told[-1][2] is False
    assert [moving for *_, moving in told].count(False) == 1
    after = page.evaluate("scene.camera")
    assert told[-1][1] == after != before
    assert after["eye"]["z"] == pytest.approx(before["eye"]["z"])  # z stays up
    assert after["center"] == pytest.approx(before["center"])
    assert page.evaluate("point => scene.project(...point)", near)[0] > start[0] + 5
    assert page.evaluate("told.filter(([name]) => name === 'click').length") == 0


def test_a_shifted_drag_moves_the_picture_by_as_much(page: Page) -> None:
    _open(page)
    _draw(page, _curves())
    before = page.evaluate("scene.project(0, 0, 0)")
    page.keyboard.down("Shift")
    page.mouse.move(450, 300)
    page.mouse.down()
    page.mouse.move(490, 280, steps=3)
    page.mouse.up()
    page.keyboard.up("Shift")
    after = page.evaluate("scene.project(0, 0, 0)")
    assert np.allclose(np.subtract(after, before)[:2], [40, -20], atol=0.01)
    camera = page.evaluate("scene.camera")
    assert camera["center"] != pytest.approx({"x": 0.05, "y": 0, "z": -0.16})
    page.evaluate("camera => { scene.camera = camera; }", camera)  # what was told shows the same picture again
    assert page.evaluate("scene.project(0, 0, 0)") == pytest.approx(after, abs=1e-3)


def test_the_wheel_makes_it_larger_around_the_pointer_and_does_not_scroll(page: Page) -> None:
    _open(page)
    _draw(page, _curves())
    point, other = [-0.6, 0, 0], [0.6, 0, 0]
    project = "points => points.map((point) => scene.project(...point))"
    (x, y, _), away = page.evaluate(project, [point, other])
    page.mouse.move(x, y)
    page.mouse.wheel(0, -200)
    page.wait_for_function("told.some(([name, , moving]) => name === 'camera' && moving === false)")
    same, farther = page.evaluate(project, [point, other])
    assert np.hypot(farther[0] - same[0], farther[1] - same[1]) > 1.1 * np.hypot(away[0] - x, away[1] - y)
    page.mouse.wheel(0, 100)
    page.wait_for_timeout(300)  # a page that scrolls would have begun to
    assert page.evaluate("window.scrollY") == 0
    # The box lies still where the pointer is; points before or behind it move by their depth.
    assert np.hypot(same[0] - x, same[1] - y) < 3


def test_keys_turn_it_and_home_leads_home(page: Page) -> None:
    _open(page)
    _draw(page, _curves())
    assert page.evaluate("[scene.upper.tabIndex, scene.upper.getAttribute('role')]") == [0, "img"]
    home = page.evaluate("scene.camera")
    page.evaluate("scene.upper.focus()")
    for key in ("ArrowLeft", "ArrowUp", "+"):
        before = page.evaluate("scene.camera")
        page.keyboard.press(key)
        after = page.evaluate("scene.camera")
        assert after["eye"] != before["eye"]
        assert after["center"] == pytest.approx(before["center"])
    page.keyboard.press("Home")
    assert page.evaluate("scene.camera") == home
    page.evaluate("scene.label = 'thirteen curves'")
    assert page.evaluate("scene.upper.getAttribute('aria-label')") == "thirteen curves"


def test_a_camera_that_was_moved_stays_until_a_figure_brings_another(page: Page) -> None:
    _open(page)
    figure = _curves()
    _draw(page, figure)
    page.evaluate("scene.camera = {eye: {x: 2, y: 1, z: 0.5}, center: {x: 0, y: 0, z: 0}}")
    moved = page.evaluate("scene.camera")
    _draw(page, figure)
    assert page.evaluate("scene.camera") == moved
    figure["layout"]["scene"]["camera"] = {"eye": {"x": 0, "y": 2, "z": 0}, "center": {"x": 0, "y": 0, "z": 0}}
    _draw(page, figure)
    assert page.evaluate("scene.camera.eye.y") == pytest.approx(2)


def test_every_checkpoint_can_be_picked(page: Page) -> None:
    _open(page)
    rng = np.random.default_rng(1)
    points = rng.uniform(size=(40, 3))
    points[7] = np.nan
    rows = [100 + k for k in range(40)]
    _draw(page, _figure([_trace(points, "markers", marker={"color": "#ff0000"}, meta={"rows": rows, "curve": "a"})]))
    known = [k for k in range(40) if k != 7]
    places = np.array([page.evaluate("point => scene.project(...point)", points[k].tolist()) for k in known])
    for place in rng.uniform([200, 100], [700, 500], size=(60, 2)):
        distances = np.hypot(*(places[:, :2] - place).T)
        hit = page.evaluate("([x, y]) => scene.pick(x, y)", place.tolist())
        if distances.min() > 12:
            assert hit is None
            continue
        nearest = known[int(distances.argmin())]
        assert (hit["point"], hit["row"], hit["curve"]) == (nearest, 100 + nearest, "a")
        assert [hit["x"], hit["y"]] == pytest.approx(places[distances.argmin(), :2].tolist(), abs=1e-3)


def test_a_line_is_picked_between_its_points_at_the_nearer_one(page: Page) -> None:
    _open(page)
    line = np.array([[0.0, 0, 0], [1, 0, 0], [1, 0, 1]])
    _draw(page, _figure([_trace(line, meta={"curve": "a", "rows": [4, 5, 6]})]))
    for share, row in ((0.3, 4), (0.7, 5)):
        x, y, _ = page.evaluate("x => scene.project(x, 0, 0)", share)
        assert page.evaluate("([x, y]) => scene.pick(x, y + 6).row", [x, y]) == row
    assert page.evaluate("scene.pick(2, 2)") is None


def test_hover_tells_once_though_the_lit_line_lies_over_the_curve(page: Page) -> None:
    _open(page)
    points = np.array([[0.0, 0, 0], [1, 1, 1]])
    _draw(page, _figure([_trace(points, meta={"curve": "a"})]))
    page.evaluate(
        """() => {
          scene.handlers.hover = (hit) => { told.push(['hover', hit]); scene.over(hit ? [hit.trace] : []); };
        }"""
    )
    x, y, _ = page.evaluate("scene.project(1, 1, 1)")
    for step in range(5):
        page.mouse.move(x + step, y)
        page.wait_for_timeout(50)
    told = page.evaluate("told.filter(([name]) => name === 'hover').map(([, hit]) => hit && hit.curve)")
    assert told == ["a"]
    page.mouse.click(x, y)
    page.mouse.dblclick(x, y)
    page.mouse.move(5, 5)
    page.wait_for_function("told.at(-1)[0] === 'hover' && told.at(-1)[1] === null")
    clicks = page.evaluate("told.filter(([name]) => name !== 'hover').map(([name, hit]) => [name, hit.curve])")
    assert clicks == [["click", "a"]] * 3 + [["doubleClick", "a"]]


# -- names, exports, life ----------------------------------------------------------------------------------------------


def test_names_are_shown_letter_by_letter(page: Page) -> None:
    _open(page)
    points = np.array([[0.0, 0, 0], [1, 1, 1]])
    figure = _figure([_trace(points, meta={"curve": _HOSTILE})], [_note(points[1], _HOSTILE)])
    figure["layout"]["scene"]["xaxis"]["title"]["text"] = plain("</text><script>alert(2)</script> & 5% $x$ &amp;")
    _draw(page, figure)
    shown = page.evaluate("[scene.frame.labels[0].full, scene.frame.grid.titles.map(({text}) => text).join()]")
    assert shown[0] == _HOSTILE
    assert "</text><script>aler" in shown[1]
    assert "5% $x$ &amp;" in shown[1]
    written = page.evaluate(
        """() => {
          const page = new DOMParser().parseFromString(scene.svg(), 'image/svg+xml');
          const tags = [...new Set([...page.querySelectorAll('*')].map(({localName}) => localName))];
          return {tags, texts: [...page.querySelectorAll('text')].map((text) => text.textContent)};
        }"""
    )
    assert set(written["tags"]) == {"svg", "rect", "g", "path", "text"}
    assert _HOSTILE in written["texts"]  # 28 letters: not shortened
    assert page.evaluate("document.querySelectorAll('img, script').length") == 0


def test_long_names_are_shortened_in_the_middle(page: Page) -> None:
    _open(page)
    for text in ("short", "x" * 28, "begin " + "😀" * 40 + " end", "", "a" * 29):
        short = page.evaluate("text => shortenText(text)", text)
        assert len(short) == min(28, len(text))
        assert short == text or (short[:6] == text[:6] and short[-4:] == text[-4:] and "…" in short)


def test_many_labels_keep_apart_and_the_same_each_time(page: Page) -> None:
    _open(page)
    rng = np.random.default_rng(2)
    for n_labels, spread in ((60, 150), (25, 0), (25, 40)):
        labels = [
            {"x": float(x), "y": float(y), "text": f"name {k}", "font": "12px sans-serif", "priority": k}
            for k, (x, y) in enumerate(rng.uniform(-spread, spread, size=(n_labels, 2)) + np.array([200, 160]))
        ]
        labels = [label for label in labels if 0 <= label["y"] <= 300]
        placed = page.evaluate("labels => placeLabels(labels, 400, 300)", labels)
        assert placed == page.evaluate("labels => placeLabels(labels, 400, 300)", labels)
        assert _outside(placed, 400, 300) == []
        assert _overlapping(placed) == []
        assert len(placed) == len(labels) if n_labels <= 25 else len(placed) >= 25
        assert max(label["priority"] for label in placed) == max(label["priority"] for label in labels)
    box = {"left": 150, "top": 100, "right": 250, "bottom": 220}
    (placed,) = page.evaluate("([label, box]) => placeLabels([label], 400, 300, [box])", [labels[0], box])
    assert _overlapping([placed, box]) == []
    asked = [{"x": 200.0, "y": 150.0, "text": "a name", "font": "12px sans-serif"}]
    lines = [[60, y, 340, y] for y in range(120, 190, 5)]
    off_lines = """([labels, lines]) => {
      const ink = inkMap(400, 300);
      for (const line of lines) ink.add(line);
      return placeLabels(labels, 400, 300, [], undefined, ink);
    }"""
    (placed,) = page.evaluate(off_lines, [asked, lines])
    assert not any(placed["top"] <= y <= placed["bottom"] and placed["left"] <= 340 for _, y, *_ in lines)
    assert len(page.evaluate(off_lines, [asked, [[0, y, 400, y] for y in range(0, 300, 5)]])) == 1  # no room elsewhere


def test_a_lit_label_lies_where_it_lay_and_others_keep_away(page: Page) -> None:
    _open(page)
    figure = _curves()
    notes = figure["layout"]["scene"]["annotations"]
    _draw(page, figure)
    lit, other = {**notes[2], "font": {"color": "#a000a0", "size": 12}}, {**notes[3], "text": "another"}
    page.evaluate("notes => scene.over([], notes)", [lit, other])
    base, over = page.evaluate("[scene.frame.labels, scene.frame.overLabels]")
    (below,) = (label for label in base if label["text"] == "curve 2")
    assert [over[0][side] for side in ("left", "top", "color")] == [below["left"], below["top"], "#a000a0"]
    assert over[1]["text"] == "another"
    assert _overlapping([*base, over[1]]) == []


def test_an_annotation_says_by_its_name_that_it_lies_over(page: Page) -> None:
    _open(page)
    names = ["over", "over: odd", "overfitted", "odd"]
    notes = [_note(np.array([k, 0.0, 0]), name, name=name) for k, name in enumerate(names)]
    _draw(page, _figure([_trace(np.array([[0.0, 0, 0], [3, 1, 1]]))], notes))
    placed = page.evaluate("[scene.frame.labels, scene.frame.overLabels].map((labels) => labels.map(({full}) => full))")
    assert [sorted(layer) for layer in placed] == [["odd", "overfitted"], ["over", "over: odd"]]


def test_labels_are_legible_on_every_page(page: Page) -> None:
    _open(page)
    for ground in ("#ffffff", _DARK["page"]):
        for color in (*PALETTE, "#ffffff", "#000000"):
            assert _contrast(page.evaluate("pair => legible(...pair, 3.5)", [color, ground]), ground) >= 3.4
    assert page.evaluate("legible('#0072B2', '#ffffff', 3.5)") == "#0072b2"  # what is legible stays


def test_a_dark_page_has_its_own_ink(page: Page) -> None:
    _open(page)
    _draw(page, _curves(), _DARK)
    for truth_or_ignorance in (-0.6, 0.6):
        x, y, _ = page.evaluate("x => scene.project(x, 0, 0)", truth_or_ignorance)
        assert page.evaluate("([x, y]) => pixel('upper', x, y)", [x, y])[:3] == _rgb(_DARK["ink"])
    assert page.evaluate("color => count('lower', color)", _rgb(_DARK["grid"])) > 500
    assert page.evaluate("getComputedStyle(scene.element).backgroundColor") == "rgb(20, 24, 31)"


def _dashed_line() -> Figure:
    points = np.column_stack([np.linspace(0, 1, 60), np.sin(np.linspace(0, 6, 60)), np.linspace(0, 1, 60)])
    line = {"color": "#0072B2", "width": 30, "dash": "dash"}
    return {"data": [_trace(points, line=line)], "layout": {}}


@pytest.mark.parametrize("figure", [_curves(), _dashed_line()], ids=["curves", "dashes"])
def test_the_vector_graphic_looks_like_the_screen(page: Page, figure: Figure) -> None:
    _open(page)
    _draw(page, figure)
    page.evaluate("scene.dim(0.5)")
    difference = page.evaluate(
        """async () => {
          const drawn = await Promise.all([
            URL.createObjectURL(await scene.png(1)),
            'data:image/svg+xml;charset=utf-8,' + encodeURIComponent(scene.svg()),
          ].map(async (address) => {
            const image = new Image();
            image.src = address;
            await image.decode();
            const canvas = new OffscreenCanvas(900, 600);
            const ctx = canvas.getContext('2d');
            ctx.drawImage(image, 0, 0);
            return ctx.getImageData(0, 0, 900, 600).data;
          }));
          let [sum, ink] = [0, 0];
          drawn[0].forEach((value, k) => { sum += Math.abs(value - drawn[1][k]); ink += 255 - value; });
          return sum / ink;
        }"""
    )
    assert difference < 0.1  # of all ink; edges are smoothed by other means


def test_pictures_and_films_have_both_layers(page: Page) -> None:
    _open(page)
    _draw(page, _curves())
    size = page.evaluate(
        "async () => { const b = await createImageBitmap(await scene.png(2)); return [b.width, b.height]; }"
    )
    assert size == [1800, 1200]
    page.evaluate("window.film = scene.stream()")
    lit = _trace(np.array([[0.0, 0, 0], [0.5, 0, 0]]), line={"color": "#ff00ff", "width": 12})
    page.evaluate("lit => scene.over([lit], [])", lit)
    x, y, _ = page.evaluate("scene.project(0.25, 0, 0)")
    read = "([x, y]) => [...film.getContext('2d').getImageData(x, y, 1, 1).data]"
    assert page.evaluate(read, [x, y]) == [255, 0, 255, 255]
    assert page.evaluate(read, [0, 0]) == [255, 255, 255, 255]
    page.evaluate("scene.stream(false)")
    page.evaluate("scene.over([], [])")
    assert page.evaluate(read, [x, y]) == [255, 0, 255, 255]


def test_it_draws_once_there_is_room_and_leaves_nothing_behind(page: Page) -> None:
    _open(page, 0, 0)
    _draw(page, _curves())
    assert page.evaluate("[scene.frame, scene.pick(0, 0)]") == [None, None]
    page.evaluate("Object.assign(document.getElementById('host').style, {width: '500px', height: '320px'})")
    page.wait_for_function("scene.frame !== null")
    assert page.evaluate("[scene.lower.width, scene.lower.height]") == [500, 320]
    assert page.evaluate("count('lower', [0, 114, 178])") > 50
    page.evaluate("scene.destroy()")
    assert page.evaluate("document.getElementById('host').shadowRoot.querySelectorAll('canvas').length") == 0


def test_of_an_ellipsoid_its_whole_silhouette_is_filled(page: Page) -> None:
    _open(page)
    rng = np.random.default_rng(0)
    covariance = np.diag([1, 4, 9]) / 400
    covariance[0, 1] = covariance[1, 0] = 0.003
    outlines = ellipses(covariance, 33)  # (3, 33, 3)
    gaps = np.full((3, 1, 3), np.nan)
    points = np.concatenate([outlines, gaps], axis=1).reshape(-1, 3)
    corners = np.array([[-1.0, -1, -1], [1, 1, 1]])
    region = _trace(points, line={"color": "#d55e00", "width": 2}, meta={"role": "ellipse", "curve": 0})
    _draw(page, _figure([_trace(corners, "markers", marker={"color": "#000000", "size": 2}), region]))
    [path] = re.findall(r'<path d="([^"]*)" fill="#d55e00" opacity="0.2">', page.evaluate("scene.svg()"))
    drawn = np.array([[float(x), float(y)] for x, y in re.findall(r"[ML]([-\d.]+) ([-\d.]+)", path)])
    surface = rng.normal(size=(4000, 3))
    surface *= region_radius(3) / np.linalg.norm(surface, axis=1, keepdims=True)
    surface = surface @ np.linalg.cholesky(covariance).T
    seen = np.array(page.evaluate("points => points.map((point) => scene.project(...point))", surface.tolist()))[:, :2]
    for angle in np.linspace(0, np.pi, 8, endpoint=False):
        direction = [np.cos(angle), np.sin(angle)]
        size = np.ptp(seen @ direction)
        assert np.ptp(drawn @ direction) == pytest.approx(size, rel=0.05)  # near things look larger, here by little
        assert (drawn @ direction).mean() == pytest.approx((seen @ direction).mean(), abs=0.1 * size)
    assert page.evaluate(f"scene.pick({drawn[0][0]}, {drawn[0][1]})") is None  # it is no run
