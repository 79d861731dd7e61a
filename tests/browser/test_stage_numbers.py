"""The stage computes pictures in the browser: the same axes, signs and numbers as Python, whatever is chosen."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page
from threadpoolctl import threadpool_limits

import predspace_widgets as pw
from predspace_widgets.analysis.analysis import Analysis, analysis_of
from predspace_widgets.analysis.frame import signs_like
from predspace_widgets.explorers.stage.packing import compress, condensed24, pack, unpack
from predspace_widgets.geometry import InPCA
from predspace_widgets.trajectories.selection import EmptySelectionError, Selection
from tests.browser.conftest import REPOSITORY, opened
from tests.explorers.test_packing import square_from_24

STAGE = REPOSITORY / "predspace_widgets" / "explorers" / "stage"
N_CHOICES, N_AXES = 200, 5
#: Of what the largest coordinate of an axis is: by how much the stage's coordinates may differ.
SAME = 1e-3
#: In the page: packed bytes in, and results out, one Float64Array after another.
HELPERS = """
window.received = async (text) => {
  window.data = await stage.unpack(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)));
};
window.sent = (arrays) => {
  const bytes = new Uint8Array(Float64Array.from(arrays.flatMap((array) => [...array])).buffer);
  let text = "";
  for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
  return btoa(text);
};
"""

Fit = dict[str, Any]


def modules(*changes: tuple[str, str]) -> str:
    """The modules as one script, after some changes of their text, and the helpers."""
    source = "\n".join((STAGE / name).read_text(encoding="utf-8") for name in ("packing.js", "inpca.js"))
    source = re.sub(r"^import .*$", "", re.sub(r"^export ", "", source, flags=re.MULTILINE), flags=re.MULTILINE)
    for before, after in changes:
        assert before in source
        source = source.replace(before, after)
    return f"window.stage = (() => {{ {source}\nreturn {{ unpack, squareFrom24, fitAxes, project }}; }})();\n{HELPERS}"


def send(page: Page, about: dict[str, Any], arrays: dict[str, np.ndarray], squeeze: bool = True) -> None:
    packed = pack(about, arrays)
    page.evaluate("(text) => received(text)", base64.b64encode(compress(packed) if squeeze else packed).decode())


def read(page: Page, expression: str) -> np.ndarray:
    """An array of arrays of numbers, in the page, as one array."""
    return np.frombuffer(base64.b64decode(page.evaluate(f"() => sent({expression})")))


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """One for all tests, with the modules: each sends it its own data."""
    with opened(browser) as page:
        page.add_script_tag(content=modules())
        yield page


@pytest.fixture(scope="module")
def fit(page: Page) -> Callable[..., Fit]:
    """`fitAxes` in the page, of a square of distances as it is (float32), and `project` of the same checkpoints."""

    def fitted(D: np.ndarray, k: int, rows: Any = None, reference: np.ndarray | None = None) -> Fit:
        rows = np.arange(len(D)) if rows is None else np.asarray(rows)
        arrays = {"square": D.astype(np.float32), "rows": rows.astype(np.int32)}
        if reference is not None:
            arrays["reference"] = reference.astype(np.float32)
        send(page, {"T": len(D), "k": k}, arrays)
        page.evaluate(
            "() => { const { square, rows, reference } = data.arrays;"
            "window.axes = stage.fitAxes(square, data.about.T, rows, data.about.k, reference ?? null); }"
        )
        facts = page.evaluate("() => ({ k: axes.k, converged: axes.converged, iterations: axes.iterations })")
        names = ("eigenvalues", "stress", "coordinates", "vectors", "rowMeans")
        result = facts | {name: read(page, f"[axes.{name}]") for name in names}
        result["projected"] = read(page, "[stage.project(axes, data.arrays.square, data.about.T)]").reshape(len(D), -1)
        for name in ("coordinates", "vectors"):
            result[name] = result[name].reshape(len(rows), facts["k"])
        return result

    return fitted


# ---- packing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("squeeze", [True, False])
def test_the_page_unpacks_what_python_packed(page: Page, squeeze: bool) -> None:
    rng = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {
        "odd": rng.integers(0, 255, 3).astype(np.uint8),
        "__proto__": rng.integers(0, 2**16, (2, 3, 1)).astype(np.uint16),
        "größe": rng.standard_normal(5),
        "none": np.zeros((0, 4), dtype=np.int32),
        "rows": rng.integers(-9, 9, (2, 2)).astype(np.int32),
        "short": np.array([1.5, np.nan, -np.inf], dtype=np.float32),
    }
    about = {"title": "ü </script>", "n": 3, "deep": {"list": [1, None, True]}}
    send(page, about, arrays, squeeze)
    assert page.evaluate("() => data.about") == about
    assert page.evaluate("() => Object.entries(data.arrays).map(([name, { shape }]) => [name, shape])") == [
        [name, list(array.shape)] for name, array in arrays.items()
    ]
    types = page.evaluate("() => Object.values(data.arrays).map((array) => array.constructor.name)")
    assert [name.removesuffix("Array").lower() for name in types] == [str(a.dtype) for a in arrays.values()]
    values = np.concatenate([array.ravel().astype(float) for array in unpack(pack(about, arrays))[1].values()])
    np.testing.assert_array_equal(read(page, "Object.values(data.arrays)"), values)


def test_packed_bytes_may_begin_as_gzip_does_and_lie_anywhere(page: Page) -> None:
    looks_like_gzip = int.from_bytes(b"\x1f\x8b\x08\x00", "little")
    rows = {"rows": np.arange(2.0)}
    length = looks_like_gzip - int.from_bytes(pack({"title": ""}, rows)[:4], "little")
    packed = pack({"title": "a" * length}, rows)
    assert packed[:4] == b"\x1f\x8b\x08\x00"
    text = base64.b64encode(packed).decode()
    values = page.evaluate(
        "async (text) => { const bytes = Uint8Array.from(atob('AAA=') + atob(text), (c) => c.charCodeAt(0));"
        "return [...(await stage.unpack(bytes.subarray(2))).arrays.rows]; }",
        text,
    )
    assert values == [0, 1]


@pytest.mark.parametrize("n_points", [1, 2, 3, 63, 64, 65, 131])
def test_the_page_has_the_distances_that_were_sent(page: Page, n_points: int) -> None:
    D = np.triu(np.exp(np.random.default_rng(n_points).uniform(-80, 80, (n_points, n_points))), 1)
    planes = condensed24(D + D.T)
    send(page, {"T": n_points}, {"planes": planes})
    square = read(page, "[stage.squareFrom24(data.arrays.planes, data.about.T)]").reshape(n_points, n_points)
    np.testing.assert_array_equal(square, square_from_24(planes, n_points))


# ---- cases whose axes are known -------------------------------------------------------------------------------------


def intervals(n_points: int, signature: list[int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points, and their squared intervals, to which imaginary axes add with a minus."""
    points = np.random.default_rng(seed).standard_normal((n_points, len(signature)))
    points *= np.linspace(2, 1, len(signature))
    return points, (np.square(points[:, None] - points) * signature).sum(axis=-1)


def rebuilt(coordinates: np.ndarray, eigenvalues: np.ndarray) -> np.ndarray:
    return (np.square(coordinates[:, None] - coordinates) * np.sign(eigenvalues)).sum(axis=-1)


@pytest.mark.parametrize("n_points", [2, 3, 5, 100])
def test_points_that_coincide_have_zeros(fit: Callable[..., Fit], n_points: int) -> None:
    result = fit(np.zeros((n_points, n_points)), 4)
    assert result["k"] == min(4, n_points)
    for name in ("coordinates", "eigenvalues", "projected"):
        np.testing.assert_array_equal(result[name], 0)
    np.testing.assert_array_equal(result["stress"], 1)


def test_one_point(fit: Callable[..., Fit]) -> None:
    result = fit(np.array([[0.0, 2.0], [2.0, 0.0]]), 3, rows=[1])
    assert result["k"] == 1
    np.testing.assert_array_equal(result["coordinates"], [[0]])


def test_two_points_lie_at_either_side_of_the_middle(fit: Callable[..., Fit]) -> None:
    result = fit(np.array([[0.0, 4.0], [4.0, 0.0]]), 5)
    np.testing.assert_allclose(result["eigenvalues"], [2, 0])
    np.testing.assert_allclose(np.sort(result["coordinates"], axis=0), [[-1, 0], [1, 0]])
    np.testing.assert_allclose(result["stress"], 1)


def test_three_points_as_python_has_them(fit: Callable[..., Fit]) -> None:
    D = np.array([[0.0, 1, 7], [1, 0, 2], [7, 2, 0]])  # no triangle: the second axis is imaginary
    result, python = fit(D, 3), InPCA(3, metric="precomputed").fit(D)
    assert result["eigenvalues"][1] < 0
    np.testing.assert_allclose(result["eigenvalues"], python.eigenvalues_, atol=1e-12)
    np.testing.assert_allclose(result["coordinates"], python.embedding_, atol=1e-6)
    np.testing.assert_allclose(result["stress"], python.explained_stress_)


@pytest.mark.parametrize("n_points", [12, 47, 48, 49, 200, 301])
def test_signed_coordinates_rebuild_the_intervals(fit: Callable[..., Fit], n_points: int) -> None:
    for signature in ([1, 1], [1, -1, 1], [-1], [1, 1, -1, -1, 1, 1]):
        _, D = intervals(n_points, signature)
        result = fit(D, 8)
        assert result["converged"]
        assert sorted(np.sign(result["eigenvalues"])) == sorted([*signature, *[0] * (8 - len(signature))])
        again = rebuilt(result["coordinates"], result["eigenvalues"])
        np.testing.assert_allclose(again, D, atol=1e-4 * np.abs(D).max())
        np.testing.assert_allclose(result["stress"][len(signature) - 1 :], 1, atol=SAME)


def test_eigenvalues_of_the_same_magnitude_and_other_sign_are_told_apart(fit: Callable[..., Fit]) -> None:
    basis = np.linalg.qr(np.random.default_rng(1).standard_normal((300, 6)))[0]
    basis = np.linalg.qr(basis - basis.mean(axis=0))[0]
    W = (basis * [5, -5, 4, -3.999, 1, -1]) @ basis.T
    D = np.diag(W)[:, None] + np.diag(W) - 2 * W
    result = fit(D, 6)
    assert result["converged"]
    np.testing.assert_allclose(np.sort(result["eigenvalues"]), [-5, -3.999, -1, 1, 4, 5], rtol=1e-5)
    np.testing.assert_allclose(
        np.abs(result["vectors"].T @ W @ result["vectors"]), np.diag([5, 5, 4, 3.999, 1, 1]), atol=1e-4
    )


def test_more_axes_of_one_eigenvalue_than_a_block_has_vectors(fit: Callable[..., Fit]) -> None:
    result = fit(1 - np.eye(100), 12)
    assert result["converged"]
    np.testing.assert_allclose(result["eigenvalues"], 0.5)
    np.testing.assert_allclose(result["vectors"].T @ result["vectors"], np.eye(12), atol=1e-9)


@pytest.mark.parametrize("reference", ["none", "zeros", "the other axes", "the same numbers"])
def test_no_axis_is_missed_for_want_of_it_in_the_reference(fit: Callable[..., Fit], reference: str) -> None:
    _, D = intervals(150, [1] * 12)
    python = InPCA(12, metric="precomputed").fit(D)
    given = {
        "none": None,
        "zeros": np.zeros((150, 8)),
        "the other axes": python.embedding_[:, 4:12],
        "the same numbers": np.repeat(python.embedding_[:, 5:6], 8, axis=1),
    }[reference]
    result = fit(D, 4, reference=given)
    assert result["converged"]
    np.testing.assert_allclose(result["eigenvalues"], python.eigenvalues_[:4], rtol=1e-5)


@pytest.mark.parametrize("n_points", [20, 120])
def test_signs_follow_the_reference_and_beyond_it_the_largest_coordinate(
    fit: Callable[..., Fit], n_points: int
) -> None:
    _, D = intervals(n_points, [1] * 6)
    whole = InPCA(6, metric="precomputed").fit(D).embedding_
    signs = np.array([1, -1, -1, 1])
    result = fit(D, 6, reference=whole[:, :4] * signs + 3)
    np.testing.assert_allclose(result["coordinates"], whole * [*signs, 1, 1], atol=1e-3)


@pytest.mark.parametrize("n_points", [20, 120])
def test_a_fitted_point_is_projected_on_itself(fit: Callable[..., Fit], n_points: int) -> None:
    _, D = intervals(n_points, [1, -1, 1])
    rows = np.random.default_rng(2).permutation(n_points)[: n_points - 5]
    result = fit(D, 3, rows=rows)
    np.testing.assert_allclose(result["projected"][rows], result["coordinates"], atol=1e-4)
    python = InPCA(3, metric="precomputed").fit(D[np.ix_(rows, rows)])
    np.testing.assert_allclose(np.abs(result["projected"]), np.abs(python.transform(D[:, rows])), atol=1e-4)


def test_the_order_of_rows_is_that_of_the_coordinates(fit: Callable[..., Fit]) -> None:
    _, D = intervals(90, [1, 1, -1])
    order = np.random.default_rng(3).permutation(90)
    plain, permuted = fit(D, 3), fit(D, 3, rows=order)
    np.testing.assert_allclose(permuted["coordinates"], plain["coordinates"][order], atol=1e-4)


def test_an_iteration_that_is_cut_short_says_so(page: Page) -> None:
    _, D = intervals(200, [1] * 40)  # no axis stands out
    arrays = {"square": D.astype(np.float32), "rows": np.arange(200, dtype=np.int32)}
    for most, expected in ((3, False), (40, True)):  # the last as it is, for the tests after this one
        page.add_script_tag(content=modules(("const MOST_PRODUCTS = 40;", f"const MOST_PRODUCTS = {most};")))
        send(page, {}, arrays)
        page.evaluate("() => { window.axes = stage.fitAxes(data.arrays.square, 200, data.arrays.rows, 5); }")
        assert page.evaluate("() => axes.converged") is expected
        assert np.isfinite(read(page, "[axes.coordinates, axes.stress]")).all()


# ---- choices of the demo --------------------------------------------------------------------------------------------


def choices(analysis: Analysis) -> list[Selection]:
    """Many of few, few of many, late ones, those of one curve: four kinds, the same ones each time."""
    ds, rng = analysis.ds, np.random.default_rng(0)
    tasks, methods, seeds = (np.unique(ds[name].values) for name in ("task", "method", "seed"))
    epochs = np.unique(ds["epoch"].values)

    def some(values: np.ndarray) -> tuple[Any, ...]:
        return tuple(np.sort(rng.choice(values, rng.integers(1, len(values) + 1), replace=False)).tolist())

    def draw(kind: int) -> Selection:
        first, last = np.sort(rng.choice(epochs, 2)).tolist()
        if kind == 0:
            return Selection(some(tasks), some(methods), some(seeds), (first, last))
        if kind == 1:
            return Selection(some(tasks), some(methods), some(seeds), (rng.uniform(2, 8), epochs[-1]))
        if kind == 2:
            task, method = analysis.curve_pairs[rng.integers(len(analysis.curve_pairs))]
            return Selection((task,), (method,), some(seeds), (first, last))
        return Selection(some(tasks), None, some(seeds), None)

    drawn: list[Selection] = []
    while len(drawn) < N_CHOICES:
        selection = draw(len(drawn) % 4)
        try:
            n_chosen = len(selection.rows(ds))
        except EmptySelectionError:
            continue
        if n_chosen > 1:
            drawn.append(selection)
    return drawn


@pytest.fixture(scope="module")
def analysis() -> Iterator[Analysis]:
    # One thread: the pictures are small, and threads of several tests would wait for each other.
    with threadpool_limits(1):
        yield analysis_of(pw.demo())


@pytest.fixture(scope="module")
def demo_fits(page: Page, analysis: Analysis) -> list[Fit]:
    """What the page makes of all choices, one after the other, of the distances and the reference that it is sent."""
    D, whole = analysis.measured.distances(show_progress=False), analysis.picture(n_components=8)["embedding"].values
    rows = [selection.rows(analysis.ds) for selection in choices(analysis)]
    arrays = {
        "planes": condensed24(D),
        "reference": whole.astype(np.float32),
        "rows": np.concatenate(rows).astype(np.int32),
        "sizes": np.array([len(chosen) for chosen in rows], dtype=np.int32),
        "geodesic": analysis.measured.geodesic_distances().astype(np.float32),
    }
    send(page, {"T": len(D), "k": N_AXES}, arrays)
    page.evaluate(
        """() => {
          const { T, k } = data.about, { planes, reference, rows, sizes, geodesic } = data.arrays;
          const square = stage.squareFrom24(planes, T);
          let end = 0;
          window.square = square;
          window.fits = Array.from(sizes, (n) => {
            const axes = stage.fitAxes(square, T, rows.subarray(end, (end += n)), k, reference);
            return { ...axes, line: stage.project(axes, geodesic, T) };
          });
        }"""
    )
    square = read(page, "[square]").reshape(D.shape)
    names = ("eigenvalues", "stress", "coordinates", "line")
    values = {name: read(page, f"fits.map((fit) => fit.{name})") for name in names}
    facts = page.evaluate("() => fits.map(({ k, converged, iterations }) => ({ k, converged, iterations }))")
    page.evaluate("() => { window.square = window.fits = null; }")
    starts = dict.fromkeys(names, 0)
    fits = []
    for fact, chosen in zip(facts, rows, strict=True):
        shapes = dict(zip(names, [(fact["k"],), (fact["k"],), (len(chosen), fact["k"]), (-1, fact["k"])], strict=True))
        shapes["line"] = (len(arrays["geodesic"]), fact["k"])
        fit = fact | {"rows": chosen, "distances": square[np.ix_(chosen, chosen)]}
        for name, shape in shapes.items():
            end = starts[name] + int(np.prod(shape))
            fit[name], starts[name] = values[name][starts[name] : end].reshape(shape), end
        fits.append(fit)
    return fits


def deviations(values: np.ndarray, expected: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Largest difference on each axis, as a share of the largest coordinate that points have on it."""
    largest = np.abs(axes).max(axis=0)
    return np.abs(values - expected).max(axis=0) / np.where(largest > 0, largest, 1)


def rounding(fit: Fit) -> float:
    """What 17 bits of distances can make, at most, of an eigenvalue."""
    return 2.0**-18 * len(fit["distances"]) * fit["distances"].max()


def gaps(eigenvalues: np.ndarray) -> np.ndarray:
    """From each eigenvalue to the nearest other one, and at most to 0, where all that are not asked for may be."""
    apart = np.abs(eigenvalues[:, None] - eigenvalues)
    np.fill_diagonal(apart, np.inf)
    return np.minimum(apart.min(axis=1), np.abs(eigenvalues))


def test_the_demo_as_python_has_it_of_the_same_distances(demo_fits: list[Fit], analysis: Analysis) -> None:
    whole = analysis.picture(n_components=8)["embedding"].values
    geodesic = analysis.measured.geodesic_distances()
    assert all(fit["converged"] for fit in demo_fits)
    for fit in demo_fits[::3]:
        counted = fit["eigenvalues"] != 0
        python = InPCA(fit["k"], metric="precomputed").fit(fit["distances"])
        assert (np.abs(python.eigenvalues_[~counted]) <= rounding(fit)).all()
        np.testing.assert_allclose(fit["eigenvalues"][counted], python.eigenvalues_[counted], rtol=1e-6)
        np.testing.assert_allclose(fit["stress"], python.explained_stress_, atol=SAME)
        signs = signs_like(python.embedding_, fit["rows"], whole)
        embedding, line = python.embedding_ * signs, python.transform(geodesic[:, fit["rows"]]) * signs
        assert (deviations(fit["coordinates"], embedding, embedding)[counted] <= SAME).all()
        assert (deviations(fit["line"], line, np.vstack([embedding, line]))[counted] <= SAME).all()


def test_the_demo_as_the_analysis_has_it(demo_fits: list[Fit], analysis: Analysis) -> None:
    D = analysis.measured.distances()
    determined, agreeing = [], []
    for fit, selection in zip(demo_fits, choices(analysis), strict=True):
        picture = analysis.picture(selection, N_AXES)
        embedding, eigenvalues = picture["embedding"].values, picture["eigenvalue"].values
        line = picture["geodesic"].values
        np.testing.assert_array_equal(picture["row"], fit["rows"])
        np.testing.assert_allclose(fit["stress"], picture["explained_stress"], atol=SAME)
        # Weyl: no eigenvalue moves by more than the norm of what is added. Davis and Kahan: no axis turns by more than
        # this over the distance to the next eigenvalue. What was added is the rounding of distances to 17 bits.
        added = np.linalg.norm(fit["distances"] - D[np.ix_(fit["rows"], fit["rows"])]) / 2
        moved = np.abs(fit["eigenvalues"] - eigenvalues)
        assert (moved <= np.where(fit["eigenvalues"] == 0, rounding(fit), 0) + added).all()
        is_determined = added <= SAME * gaps(eigenvalues)
        agreeing.append(deviations(fit["coordinates"], embedding, embedding) <= SAME)
        assert agreeing[-1][is_determined].all()
        assert (deviations(fit["line"], line, np.vstack([embedding, line]))[is_determined] <= SAME).all()
        determined.append(is_determined)
    # Others belong to choices of few checkpoints, or have neighbours. Most of them agree as well.
    assert np.concatenate(determined).mean() > 0.85
    agree, n_chosen = (
        np.concatenate(agreeing),
        np.repeat([len(fit["rows"]) for fit in demo_fits], list(map(len, agreeing))),
    )
    assert agree.mean() > 0.98
    assert agree[n_chosen > 50].all()
