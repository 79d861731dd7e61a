"""Scenes: settings with a sentence each, through which a lecture goes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.resources import as_file, files
from typing import Any

from predspace_widgets.analysis import Analysis
from predspace_widgets.explorers.state import ExplorerState
from predspace_widgets.trajectories.text_files import load_yaml, read_text, shown
from predspace_widgets.views import View

#: The talk that ships: what the paper tells, on the demo dataset, whose numbers its sentences name.
SHIPPED = "digits"
MOST_SCENES = 100
#: Characters that are still read from the back row.
LONGEST = {"say": 400, "title": 100}
_NAMES = ("say", "title", "view", "settings", "play")

Scene = dict[str, Any]


def scenes_of(source: str | os.PathLike[str] | Sequence[Any], analysis: Analysis, views: Sequence[View]) -> list[Scene]:
    """The scenes of a talk, checked against the dataset that they are shown on.

    Parameters
    ----------
    source : path or list of mapping
        A YAML file, "digits" for the talk that ships, or the scenes themselves. Each has `say`, one or two sentences as
        plain text, and may have a `title`, a `view` (by default the first one), `settings` as `Explorer` takes them,
        and `play`, whether the time bar plays from the start.
    analysis : Analysis
    views : sequence of View
        Those that can be shown.

    Returns
    -------
    list of dict
        Each with `title`, `say`, `view`, `settings` and `play`; settings as `ExplorerState.settings` has them, with
        what is selected.

    Raises
    ------
    ValueError
        No list of scenes, or one that cannot be shown: the message says which, what is wrong, and what there is.
    OSError
        The file cannot be read.

    Examples
    --------
    >>> from predspace_widgets.analysis import analysis_of
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> from predspace_widgets.views import VIEWS
    >>> analysis, views = analysis_of(random_trajectories()), list(VIEWS.values())
    >>> scenes_of([{"say": "Red alone.", "settings": {"tasks": "red"}}], analysis, views)
    [{'title': '', 'say': 'Red alone.', 'view': 'inpca', 'settings': {'curves': ['red']}, 'play': False}]
    >>> scenes_of([{"say": "Mauve alone.", "settings": {"tasks": "mauve"}}], analysis, views)
    Traceback (most recent call last):
    ...
    ValueError: scene 1: no task 'mauve' in this dataset; it has red, green, blue
    """
    where, listed = ("", source) if isinstance(source, Sequence) and not isinstance(source, str) else _read(source)
    if not isinstance(listed, list | tuple) or not listed:
        raise ValueError(f"{where or 'scenes: '}a list of scenes is needed, each with what to say: - say: ...")
    if len(listed) > MOST_SCENES:
        raise ValueError(f"{where}{len(listed)} scenes, {MOST_SCENES} at most")
    scenes = []
    for number, given in enumerate(listed, start=1):
        try:
            scenes.append(_scene(given, analysis, {view.name: view for view in views}))
        except ValueError as error:
            raise ValueError(f"{where}scene {number}: {error}") from None
    return scenes


def _read(source: str | os.PathLike[str]) -> tuple[str, Any]:
    """Where scenes are read from, for messages, and what is there."""
    if source == SHIPPED:
        with as_file(files(__package__).joinpath("talks", f"{SHIPPED}.yaml")) as path:
            return "", load_yaml(read_text(path))
    try:
        return f"{source}, ", load_yaml(read_text(source))
    except ValueError as error:
        raise ValueError(str(error) if str(source) in str(error) else f"{source}: {error}") from None


def _scene(given: Any, analysis: Analysis, views: Mapping[str, View]) -> Scene:
    if not isinstance(given, Mapping):
        raise ValueError(f"a scene has names and values, such as say: ..., not {shown(given)}")
    for name in given:
        if name not in _NAMES:
            raise ValueError(f"no {shown(name)} in a scene; it has {', '.join(_NAMES)}")
    texts = {name: _text(name, given.get(name, "")) for name in LONGEST}
    if not texts["say"]:
        raise ValueError("nothing to say: it needs a sentence, say: ...")
    view, play = given.get("view") or next(iter(views)), given.get("play", False)
    if not isinstance(view, str) or view not in views:
        raise ValueError(f"no view {shown(view)}; there are {', '.join(views)}")
    if not isinstance(play, bool):
        raise ValueError(f"play is true or false, not {shown(play)}")
    settings = _settings(given.get("settings") or {}, analysis)
    if views[view].deck == "selected" and len(settings.get("selected", [])) not in (1, 2):
        raise ValueError(f"the view {view!r} shows a checkpoint or two: settings need selected: [row]")
    return {"title": texts["title"], "say": texts["say"], "view": view, "settings": settings, "play": play}


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} is a text, not {shown(value)}: put it between quotes")
    text = " ".join(value.split())
    if len(text) > LONGEST[name]:
        raise ValueError(f"{name} has {len(text)} characters, {LONGEST[name]} at most")
    return text


def _settings(given: Any, analysis: Analysis) -> dict[str, Any]:
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise ValueError(f"settings are names and values, such as dimensions: 2-D, not {shown(given)}")
    try:
        return ExplorerState(analysis, **given).settings(looked_at=True)
    except TypeError as error:  # an unknown choice
        raise ValueError(str(error)) from None
