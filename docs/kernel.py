"""Runs first in each kernel of a page: figures are drawn by the plotly.js that `conf.py` puts beside the pages."""

from typing import Any
from uuid import uuid4

import plotly.io as pio
from plotly.io.base_renderers import HtmlRenderer
from plotly.io.json import to_json_plotly


class BesidePage(HtmlRenderer):
    """plotly's own renderers for HTML name a CDN, and draw before the end of a page, where its scripts are read."""

    def to_mimebundle(self, fig_dict: dict[str, Any]) -> dict[str, str]:
        name, layout = f"figure-{uuid4()}", {"height": 480, **fig_dict["layout"]}
        drawn = ", ".join(map(to_json_plotly, (name, fig_dict["data"], layout, {"responsive": True})))
        script = f'addEventListener("DOMContentLoaded", () => Plotly.newPlot({drawn}))'
        return {"text/html": f'<div id="{name}"></div><script>{script}</script>'}


pio.renderers["beside_page"] = BesidePage()
pio.renderers.default = "beside_page"
