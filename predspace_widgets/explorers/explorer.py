"""The explorer of a dataset: choices, figures, numbers, and faces to show them in."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

import numpy as np
import pandas as pd
import xarray as xr

from predspace_widgets.analysis import Analysis, analysis_of
from predspace_widgets.explorers.choices import READERS
from predspace_widgets.explorers.live import Following, follow_snapshots, follow_source, follow_store
from predspace_widgets.explorers.scenes import scenes_of
from predspace_widgets.explorers.session import Session
from predspace_widgets.explorers.sharing import code_of, one_file
from predspace_widgets.explorers.state import ExplorerState
from predspace_widgets.trajectories import join
from predspace_widgets.trajectories.replacing import replacing
from predspace_widgets.trajectories.source import source_of
from predspace_widgets.views import VIEWS, Drawing, View
from predspace_widgets.views.style import plain

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from predspace_widgets.explorers.notebook import StageWidget
    from predspace_widgets.explorers.page import StageComponent


@runtime_checkable
class Recorded(Protocol):
    """What records into a dataset, such as `predspace_widgets.Recorder`."""

    path: Path

    def record(self, predictions: Any, *, epoch: float) -> None:
        """Add a checkpoint."""


class Explorer:
    """Explore a trajectories dataset: in a notebook the last expression of a cell shows it.

    Parameters
    ----------
    data : xarray.Dataset, list of them, or Analysis
        A trajectories dataset. Several are joined, see `predspace_widgets.join`.
    state : ExplorerState, optional
        Of another explorer on this dataset, to share its choices.
    views : sequence of str or View, optional
        Which views are shown, in this order; the first is the large one. By default all of `VIEWS`, of a published
        picture without predictions those that need none.
    scenes : path or list of mapping, optional
        What a lecture goes through, which the key P begins: a YAML file, "digits" for the talk that ships, or the
        scenes themselves, see `scenes_of`.
    height : str
        Of the stage in a notebook, as CSS writes lengths.
    choices : values of the parameters of `ExplorerState`
        What is chosen at first, such as `tasks=["even", "odd"]`; also to be set later through `state`.

    Attributes
    ----------
    state : ExplorerState
        The choices; setting one draws the stage again, and what is chosen there is set here.

    Raises
    ------
    TypeError
        No dataset, or an unknown choice; the message names those there are.
    ValueError
        A value that the dataset does not have, an unknown view, scenes that cannot be shown, no valid trajectories
        dataset, or several that do not fit together.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> explorer = Explorer(random_trajectories(), tasks=["red", "blue"])
    >>> explorer.state.dimensions = "2-D"
    >>> explorer.settings()
    {'curves': ['red', 'blue'], 'dimensions': '2-D'}
    >>> len(explorer.figure("lengths").data)
    4
    """

    def __init__(
        self,
        data: xr.Dataset | Sequence[xr.Dataset] | Analysis,
        *,
        state: ExplorerState | None = None,
        views: Sequence[str | View] | None = None,
        scenes: str | Path | Sequence[Any] | None = None,
        height: str = "720px",
        **choices: Any,
    ) -> None:
        if isinstance(data, list | tuple):
            data = join(data)
        if not isinstance(data, xr.Dataset | Analysis):
            see = "pw.open_trajectories" if isinstance(data, str | Path) else "pw.make_trajectories"
            raise TypeError(f"an explorer shows a trajectories dataset, not a {type(data).__name__}: see {see}")
        analysis = data if isinstance(data, Analysis) else analysis_of(data)
        if state is None:
            state = ExplorerState(analysis, **choices)
        elif state.analysis is not analysis:
            raise ValueError("this state is of another dataset")
        else:
            state.param.update(**choices)
        self.state, self.height = state, height
        self.session = Session(analysis, None if views is None else [_view(view) for view in views])
        if scenes is not None:
            self.session.scenes = scenes_of(scenes, analysis, self.session.views)
        self.following: Following | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        if name in (*READERS, "tasks", "methods"):
            raise AttributeError(f"choices are set through the state: explorer.state.{name} = ...")
        super().__setattr__(name, value)

    def __reduce__(self) -> Any:
        raise TypeError(
            "an explorer is not copied or pickled: pw.Explorer(ds, **explorer.settings()) is another with its choices"
        )

    # -- choices and what is selected ----------------------------------------------------------------------------------

    def settings(self) -> dict[str, Any]:
        """The choices that differ from the first ones: `Explorer(ds, **settings)` has them again."""
        return self.state.settings()

    def code(self, view: str = "inpca") -> str:
        """Python that runs and makes this very figure of a view."""
        return code_of(self.settings(), self.session.about["source"], self._view(view).name)

    @property
    def selection(self) -> list[int]:
        """Rows of the checkpoints that are selected on the stage."""
        return list(self.state.selected)

    def selected(self) -> xr.Dataset:
        """The dataset of the selected checkpoints.

        Raises
        ------
        ValueError
            None is selected.
        """
        if not self.state.selected:
            raise ValueError("no checkpoint is selected: click one, or draw a box or a lasso in the 2-D picture")
        return self.session.analysis.ds.isel(checkpoint=np.array(self.state.selected))

    # -- what goes on --------------------------------------------------------------------------------------------------

    def follow(
        self,
        snapshots: Iterable[Any] | Recorded | None = None,
        *,
        task: str = "live",
        method: str = "supervised",
        seed: int = 0,
    ) -> Self:
        """Show new checkpoints while they come, from a thread: the cell goes on at once.

        They are placed into the axes as these are; `following` is what goes on, and its `error` what ended it early.

        Parameters
        ----------
        snapshots : iterable of (probs, epoch), Recorder, or None
            Predictions (N, C) on the samples of this dataset, as probabilities, and the epoch that they are of: a
            training as a generator, which the thread runs. A `Recorder` is followed where it records. Without it, the
            dataset is followed where it was opened from.
        task, method, seed : str, str, int
            Whose run an iterable is.

        Returns
        -------
        Explorer
            This one: as the last expression of a cell it shows itself.

        Raises
        ------
        ValueError
            Something is followed already; the dataset has this run, or was not recorded checkpoint by checkpoint.
        NoPredictionsError

        Examples
        --------
        >>> from predspace_widgets.trajectories.testing import geodesic_run
        >>> ds = geodesic_run(5)
        >>> explorer = Explorer(ds).follow((probs, epoch) for epoch, probs in enumerate(ds["probs"].values))
        >>> explorer.stop()
        >>> explorer.following.is_running
        False
        """
        if self.following is not None and self.following.is_running:
            raise ValueError("this explorer follows something already: call its stop() first")
        if snapshots is None:
            self.following = follow_source(self.session)
            if self.following is None:
                raise ValueError("this dataset was not opened from a .zarr directory that is recorded into")
        elif isinstance(snapshots, Recorded):
            stored = source_of(self.session.opened["probs"])
            is_own = stored is not None and Path(stored.source.url) == Path(snapshots.path).absolute()
            self.following = follow_store(self.session, snapshots.path, is_own)
        else:
            self.following = follow_snapshots(self.session, snapshots, task, method, seed)
        return self

    def wait(self) -> None:
        """Wait until all of an iterator that is followed has come, for as long as it takes; Ctrl-C ends the waiting.

        Raises
        ------
        ValueError
            Nothing is followed, or a dataset on disk, which is looked at until `stop`.
        Exception
            What ended it early, such as the error of the training that was followed.

        Examples
        --------
        >>> from predspace_widgets.trajectories.testing import geodesic_run
        >>> ds = geodesic_run(5)
        >>> explorer = Explorer(ds).follow((probs, epoch) for epoch, probs in enumerate(ds["probs"].values))
        >>> explorer.wait()
        >>> explorer.following.is_running
        False
        """
        if self.following is None:
            raise ValueError("this explorer follows nothing: call its follow() first")
        self.following.wait()

    def stop(self) -> None:
        """End what `follow` began, after the checkpoint that is under way; Ctrl-C ends the waiting for that.

        Raises
        ------
        Exception
            What ended it early, such as the error of the training that was followed.
        """
        if self.following is not None:
            self.following.stop()

    # -- figures and numbers -------------------------------------------------------------------------------------------

    def figure(self, view: str = "inpca") -> go.Figure:
        """A view as a plotly figure, which stays a picture in a notebook that is saved and opened again.

        Raises
        ------
        ValueError
            An unknown view, or choices that leave nothing to draw.
        """
        import plotly.graph_objects as go

        figure = go.Figure(self._drawing(view).figure)
        if self.state.samples is not None:
            figure.update_layout(title={"text": plain(self.state.of_what), "font": {"size": 14}}, margin={"t": 36})
        return figure

    def data(self, view: str = "inpca") -> pd.DataFrame:
        """The numbers of a view, a row for what is drawn.

        Raises
        ------
        ValueError
            An unknown view, or choices that leave nothing.

        Examples
        --------
        >>> from predspace_widgets.trajectories.testing import random_trajectories
        >>> Explorer(random_trajectories(), tasks="red").data("lengths")["n_checkpoints"].tolist()
        [8, 8]
        """
        table = self._drawing(view).table
        assert table is not None
        return table

    def summary(self, view: str = "inpca") -> str:
        """One sentence on what a view shows, computed from its numbers: what a screen reader says of the figure.

        Raises
        ------
        ValueError
            An unknown view, or choices that leave nothing.

        Examples
        --------
        >>> from predspace_widgets.trajectories.testing import random_trajectories
        >>> Explorer(random_trajectories(), tasks=["red", "blue"]).summary("lengths")
        '2 curves of 4 runs; the mean way of “blue” is the longest, 1.79; that of “red” the shortest, 1.78.'
        """
        return self._drawing(view).summary

    def _drawing(self, name: str) -> Drawing:
        return self._view(name).compose(self.state.on_samples, self.state)

    def _view(self, name: str) -> View:
        known = {view.name: view for view in self.session.views} | VIEWS
        if name not in known:
            raise ValueError(_unknown_view(name, list(known)))
        return known[name]

    # -- faces ---------------------------------------------------------------------------------------------------------

    @cached_property
    def widget(self) -> StageWidget:
        """The stage as an ipywidget."""
        from predspace_widgets.explorers.notebook import StageWidget

        return StageWidget(self.session, self.state, self.height)

    def panel(self) -> StageComponent:
        """The stage as a component of a Panel page; `panel.Row(explorer)` makes one too."""
        from predspace_widgets.explorers.page import StageComponent

        return StageComponent(self.session, self.state)

    def __panel__(self) -> StageComponent:
        return self.panel()

    def save(self, path: str | Path) -> Path:
        """Write one HTML file that holds the stage and its numbers: it works without Python and without a network.

        Where the explorer has scenes, it opens as a lecture, which Escape ends.

        Parameters
        ----------
        path : str or Path
            Replaced if it is there, when the new file is complete.

        Returns
        -------
        Path

        Raises
        ------
        ValueError
            A scene counts some samples only: the file does not hold what that needs.
        """
        path = Path(path)
        with replacing(path) as new:
            new.write_text(one_file(self.session, self.state.settings(), self.session.scenes), encoding="utf-8")
        return path

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.widget._repr_mimebundle_(**options)


def _view(view: str | View) -> View:
    if isinstance(view, View):
        return view
    if view not in VIEWS:
        raise ValueError(_unknown_view(view, list(VIEWS)))
    return VIEWS[view]


def _unknown_view(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(str(name), known, 1)
    hint = f", did you mean {near[0]!r}?" if near else ";"
    return f"no view {name!r}{hint} an explorer has {', '.join(known)}"
