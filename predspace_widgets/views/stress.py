"""How much of the distances do the axes of the picture explain?"""

from __future__ import annotations

import xarray as xr

from predspace_widgets.views.inpca import is_published, picture_of
from predspace_widgets.views.style import INK, axis, common_layout, faint, percent
from predspace_widgets.views.view import CHECKPOINTS, Figure, View


def stress_figure(picture: xr.Dataset) -> Figure:
    """Draw the explained stress: a bar an axis on top of those before it, with the sum written beside it.

    Parameters
    ----------
    picture : xarray.Dataset
        From `Analysis.picture`.

    Returns
    -------
    dict
        A plotly figure.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import geodesic_run
    >>> stress_figure(geodesic_run().predspace.inpca(2))["data"][1]["x"]
    ['1', '2 i']
    """
    cumulative, own = picture["explained_stress"].values, picture["axis_stress"].values
    imaginary = picture["eigenvalue"].values < 0
    names = [
        f"{number}" + (" i" if is_imaginary else "")
        for number, is_imaginary in zip(picture["component"].values, imaginary, strict=True)
    ]
    before = {
        "type": "bar",
        "x": names,
        "y": cumulative - own,
        "marker": {"color": faint(INK, 0.18)},
        "hoverinfo": "skip",
        "name": "axes before",
    }
    this = {
        "type": "bar",
        "x": names,
        "y": own,
        "marker": {"color": INK},
        "text": [percent(share) for share in cumulative],
        "textposition": "outside",
        "cliponaxis": False,
        "name": "this axis",
        "hovertemplate": "axis %{x}: %{y:.1%} of stress<extra></extra>",
    }
    layout = common_layout(
        barmode="stack",
        bargap=0.25,
        margin={"l": 40, "r": 8, "t": 20, "b": 40},
        xaxis=axis("number of InPCA axes", type="category", showgrid=False),
        yaxis=axis("", tickformat=".0%", range=[0, 1.0], nticks=3),
    )
    return {"data": [before, this], "layout": layout}


VIEW = View(
    name="stress",
    title="Explained stress",
    how_to_read="How much of all distances the first 1, 2, 3, … axes explain together.",
    depends=lambda choices: CHECKPOINTS,
    measure=picture_of,
    figure=lambda picture, styles, choices: stress_figure(picture),
    notes=lambda picture, meaning: "Of the whole published set, whatever is chosen." if is_published(picture) else "",
)
