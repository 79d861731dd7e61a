"""Runs first in each kernel of a page: figures are drawn by the plotly.js that `conf.py` puts beside the pages."""

import plotly.io as pio
from plotly.io.base_renderers import HtmlRenderer


class BesidePage(HtmlRenderer):
    """plotly's own renderers for HTML name a CDN."""

    def to_mimebundle(self, fig_dict):
        page = pio.to_html(fig_dict, include_plotlyjs=False, full_html=False, validate=False, default_height=480)
        return {"text/html": page}


pio.renderers["beside_page"] = BesidePage()
pio.renderers.default = "beside_page"
