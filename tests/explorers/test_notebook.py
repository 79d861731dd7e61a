"""The explorer in a notebook, without a browser."""

from __future__ import annotations

import sys

import pytest

import predspace_widgets as pw


@pytest.mark.parametrize("package", ["ipywidgets", "anywidget"])
def test_without_the_libraries(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "predspace_widgets.explorers.notebook", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=r'pip install "predspace-widgets\[notebook\]"'):
        _ = pw.Explorer
