"""Error bars of the picture and of its spectrum: what draws of samples, seeds or runs make of them.

They are measured for some choices and are small; Python and the stage draw the same ellipses and bands of them.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from predspace_widgets.analysis import Analysis
from predspace_widgets.analysis.cache import Cache
from predspace_widgets.geometry.ellipses import coverage, region_radius

#: What is drawn anew for each error bar, by the value of the choice `uncertainty`.
OVER = ("samples", "seeds", "runs")
#: So many draws are made.
N_DRAWS = 200
#: Axes that a spectrum shows, and that are measured.
N_SPECTRUM = 8
#: Of a spectrum: from which to which percentile of the draws a band reaches.
BAND = (2.5, 97.5)

# Ellipses of all curves together, and of one curve: more would be a smear.
_MOST, _MOST_OF_ONE = 39, 6
_MOST_KEPT = 32  # results of a dataset
_kept: WeakKeyDictionary[Analysis, Cache] = WeakKeyDictionary()


def error_bars(analysis: Analysis, choices: Any) -> dict[str, Any] | None:
    """The error bars of the picture of some choices, as plain data; None where none are wanted.

    Parameters
    ----------
    analysis : Analysis
    choices : ExplorerState or what has its `selection`, `fitted_on` and `uncertainty`

    Returns
    -------
    dict or None
        "curve", "step" and "covariance" of each mean over seeds that has an ellipse; "radii" of the 95% regions in two
        and three dimensions, in standard deviations; "spreads", the "curve" and "step" of all means and "of" each the
        standard deviation on each axis, None where it has none of its own; of each axis "stress" and "magnitude" (of
        the eigenvalue), each the "low" and "high" end of its band; "sentences" on the "plane" and the "space" in which
        ellipses are drawn, on the "draws" and the "spectrum".

    Raises
    ------
    ValueError
        There is nothing to draw from, or nothing is chosen; see `predspace_widgets.analysis.uncertainty.bootstrap`.
    """
    over = choices.uncertainty
    if over == "none":
        return None
    selection, fitted_on = choices.selection, choices.fitted_on
    results = _kept.setdefault(analysis, Cache(_MOST_KEPT))

    def measure() -> dict[str, Any]:
        from predspace_widgets.analysis.uncertainty import bootstrap  # late: it brings torch and scikit-learn along

        drawn = bootstrap(analysis, selection, N_SPECTRUM, N_DRAWS, over=over, fitted_on=fitted_on)
        means = analysis.progress_curves(selection)  # rows as the means of the picture
        numbers = means["curve"].map({name: number for number, name in enumerate(analysis.curve_names)}).to_numpy()
        has_own = (means["n_seeds"].to_numpy() > 1) | (over != "seeds")  # a single seed has no other to draw
        return _ellipses(means, numbers, has_own, drawn) | _spreads(means, numbers, has_own, drawn) | _bands(drawn)

    known: dict[str, Any] = results.get((selection, fitted_on, over), measure)
    return known


def chosen_along(progress: NDArray[Any], most: int) -> NDArray[np.intp]:
    """Places of a few points of a curve: its last one, and those nearest to equal parts of the progress until there.

    Examples
    --------
    >>> chosen_along(np.array([0.0, 0.5, 0.6, 0.9, 1.0]), 2)
    array([1, 4])
    """
    parts = np.linspace(progress[0], progress[-1], most + 1)[1:-1]  # where all begin alike they would cover each other
    nearest = np.abs(progress[:, None] - parts).argmin(axis=0)
    return np.unique(np.append(nearest, len(progress) - 1))


def _ellipses(
    means: pd.DataFrame, numbers: NDArray[np.intp], has_own: NDArray[np.bool_], drawn: xr.Dataset
) -> dict[str, Any]:
    curves = np.unique(numbers)
    most = int(np.clip(_MOST // len(curves), 1, _MOST_OF_ONE))
    progress = means["mean"].to_numpy()
    of_curve = [np.flatnonzero(numbers == curve) for curve in curves]
    places = np.concatenate([rows[chosen_along(progress[rows], most)] for rows in of_curve])
    places = places[has_own[places]]
    if not len(places):
        raise ValueError("no curve that is shown has two seeds: error bars over seeds need at least two to draw from")
    along = len(places) > len(np.unique(numbers[places]))  # or of the last epoch alone
    sentences = {"draws": "Each draw is fitted anew and brought onto these axes.", "spectrum": _on_spectrum(drawn)}
    for name, n_dimensions in (("plane", 2), ("space", 3)):
        sentences[name] = _on_ellipses(drawn, int(means["n_seeds"].to_numpy()[places].min()), n_dimensions, along)
    return {
        "sentences": sentences,
        "curve": numbers[places].tolist(),
        "step": means["step"].to_numpy()[places].tolist(),
        "covariance": drawn["mean_covariance"].values[places].tolist(),
        "radii": [region_radius(2), region_radius(3)],
    }


def _spreads(
    means: pd.DataFrame, numbers: NDArray[np.intp], has_own: NDArray[np.bool_], drawn: xr.Dataset
) -> dict[str, Any]:
    variances = np.diagonal(drawn["mean_covariance"].values, axis1=1, axis2=2)  # (mean, k)
    of = [
        [float(f"{part:.4g}") for part in own] if has else None  # digits that count, few to send
        for own, has in zip(np.sqrt(variances), has_own, strict=True)
    ]
    return {"spreads": {"curve": numbers.tolist(), "step": means["step"].tolist(), "of": of}}


def _bands(drawn: xr.Dataset) -> dict[str, Any]:
    magnitudes = np.abs(drawn["drawn_eigenvalue"].values)  # an axis may be imaginary in some draws only
    of = {"stress": drawn["drawn_explained_stress"].values, "magnitude": magnitudes}
    ends = {name: np.percentile(values, BAND, axis=0).tolist() for name, values in of.items()}
    return {name: {"low": low, "high": high} for name, (low, high) in ends.items()}


def _on_ellipses(drawn: xr.Dataset, fewest_seeds: int, n_dimensions: int, along: bool) -> str:
    over, n_draws = drawn.attrs["over"], drawn.attrs["n_draws"]
    where = f"around means at their last epoch{' and along their progress' if along else ''}"
    if over != "seeds":
        return f"95% ellipses over {n_draws} draws of {over}, {where}."
    holds = round(100 * coverage(fewest_seeds, n_dimensions))
    often = f"hold the mean {holds} times in 100, not 95" if holds else "are flat and all but never hold the mean"
    return f"Normal ellipses over {n_draws} draws of seeds, {where}; of {fewest_seeds} seeds they {often}."


def _on_spectrum(drawn: xr.Dataset) -> str:
    low, high = np.percentile(drawn["drawn_participation_ratio"].values, BAND)
    imaginary = bool((drawn["eigenvalue"].values < 0).any())
    return (
        f"Range: 2.5th to 97.5th percentile over {drawn.attrs['n_draws']} draws of {drawn.attrs['over']}. "
        f"Participation ratio (tr W)² / |W|²: {float(drawn['participation_ratio']):.2f}, {low:.2f} to {high:.2f}"
        f"{'; imaginary axes subtract' if imaginary else ''}."
    )
