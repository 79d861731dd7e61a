"""What a stage has from its host, with a host that is made up: an order of events that a real one has now and then."""

from __future__ import annotations

import base64
from typing import Any

from playwright.sync_api import Page

from predspace_widgets.explorers.explorer import Explorer
from predspace_widgets.explorers.stage.stage import module
from predspace_widgets.trajectories.testing import random_trajectories
from tests.browser.conftest import Stage

# A widget's model as anywidget hands it over; Python chooses before the stage has read its numbers.
_RENDER = """
async ([code, payload, later]) => {
  const bytes = Uint8Array.from(atob(payload), (letter) => letter.charCodeAt(0));
  const values = { choices: {}, payload: new DataView(bytes.buffer), height: "600px", live: false };
  const heard = {};
  const model = {
    get: (name) => values[name],
    set: (name, value) => (values[name] = value),
    on: (name, listen) => (heard[name] ??= []).push(listen),
    off() {},
    send() {},
    save_changes() {},
  };
  const { default: widget } = await import(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
  const drawn = widget.render({ model, el: document.body });
  values.choices = later;
  (heard["change:choices"] ?? []).forEach((listen) => listen());
  await drawn;
}
"""


def test_what_python_chooses_while_the_numbers_come_is_not_lost(page: Page) -> None:
    explorer = Explorer(random_trajectories(n_checkpoints=3), views=["inpca"])
    payload = base64.b64encode(explorer.session.payload()).decode()
    later: dict[str, Any] = {"color_by": "progress", "seeds": [1]}  # in 3-D, which needs no plotly.js
    page.evaluate(_RENDER, [module(), payload, later])
    state = Stage(page).state
    assert {name: state[name] for name in later} == later
