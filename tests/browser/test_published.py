"""A published picture on the stage: the same as in Python, and nothing promised that is not known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from playwright.sync_api import Browser, expect

from predspace_widgets.explorers.explorer import Explorer
from tests.browser.conftest import Stage, opened
from tests.trajectories.samples import embedding_only

#: Of three axes with coordinates, the second imaginary, and two without, of which the fourth is imaginary.
SPECTRUM = np.array([4.0, -2.0, 1.0, -0.5, 0.25])


@pytest.fixture(scope="module")
def published() -> xr.Dataset:
    return embedding_only().assign(spectrum=("axis", SPECTRUM)).assign_attrs(eigenvalue_square_sum=25.0)


def test_a_published_picture_on_the_stage(browser: Browser, published: xr.Dataset, tmp_path: Path) -> None:
    explorer = Explorer(published)
    with opened(browser) as page:
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.goto(explorer.save(tmp_path / "one.html").as_uri())
        stage = Stage(page)
        cards = page.locator("[data-view]").evaluate_all("(cards) => cards.map((card) => card.dataset.view)")
        assert cards == ["inpca", "stress"]
        expect(page.locator("[data-view=inpca]")).to_contain_text("of the whole set’s stress")
        shares = []
        for choices in ({"dimensions": "3-D"}, {"dimensions": "pairs"}, {"dimensions": "2-D"}, {"vertical": 3}):
            assert stage.set(**choices) == []
            shares.append(page.locator("[data-view=inpca] .share").text_content())
        stress = explorer.data("stress")
        wanted = [*[stress["cumulative"][2]] * 2, stress["cumulative"][1], stress["stress"][[0, 2]].sum()]
        assert shares == [f"{share * 100:.0f}% of the whole set’s stress" for share in wanted]
        stage.set(dimensions="3-D", vertical=2)
        caption = page.locator("[data-view=inpca] .caption")
        more = page.locator("[data-view=inpca] .more")
        more.press("Enter")
        assert caption.evaluate("(node) => node.scrollHeight <= node.clientHeight")
        more.press("Enter")
        expect(page.locator("[data-control=axes_fitted_on]")).to_be_hidden()
        offered = page.locator("[data-control=time_by] option").all_text_contents()
        assert offered == ["by epoch", "by step"]
        assert page.locator("[data-control=color_by] option").all_text_contents() == ["colour: curve", "colour: epoch"]
        for choices in ({}, {"curves": ["x"]}, {"spectrum": "eigenvalues"}, {"dimensions": "2-D", "vertical": 3}):
            assert stage.set(**choices) == []
            explorer.state.param.update(**choices)
            for view in ("inpca", "stress"):
                caption = stage.read(f"stage.drawing({view!r}).caption")
                assert caption == explorer._drawing(view).caption
                assert "those of the whole published set, whatever is chosen" in caption
                assert not set("●★") & set(caption)
        assert page.locator("[data-control=vertical] option").all_text_contents() == ["↑ 1", "↑ 2", "↑ 3"]
        stress = stage.result("stress")
        assert stress["axis"] == [1, 2, 3, 4, 5]
        np.testing.assert_allclose(stress["eigenvalue"], SPECTRUM)
        np.testing.assert_allclose(stress["cumulative"], explorer.data("stress")["cumulative"])
        np.testing.assert_allclose(stage.result()["embedding"], published["embedding"].values[:6], rtol=1e-6)
        figure = stage.read("stage.drawing('stress').figure")
        [dots] = [trace for trace in figure["data"] if trace["name"] == "eigenvalue"]
        assert dots["text"] == ["", "i", "", "i", ""]
        assert [color == "white" for color in dots["marker"]["color"]] == (SPECTRUM < 0).tolist()
        assert [error for error in errors if "favicon" not in error] == []
