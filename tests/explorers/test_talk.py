"""What the talk that ships says is so: every number in it is computed from the demo dataset."""

from __future__ import annotations

import re

import numpy as np
import pytest
import xarray as xr

import predspace_widgets as pw
from predspace_widgets.explorers.explorer import Explorer
from predspace_widgets.trajectories.demo import is_demo

DIGITS, FINE = "all digits", "fine-tuning from 0-4"


@pytest.fixture(scope="module")
def ds() -> xr.Dataset:
    return pw.demo().compute()


@pytest.fixture(scope="module")
def explorer() -> Explorer:
    return Explorer(pw.demo(), scenes="digits")


Ends = dict[tuple[str, str, str, str], float]  # by task and method of the one, task and method of the other


def ends_apart(ds: xr.Dataset) -> Ends:
    """Bhattacharyya distances between the last checkpoints of two curves, the mean over pairs of their runs."""
    tasks, methods, last = ds["task"].values, ds["method"].values, ds["step"].values == ds["step"].values.max()
    curves = sorted(set(zip(tasks.tolist(), methods.tolist(), strict=True)))
    ends = {(task, method): ds["probs"].values[last & (tasks == task) & (methods == method)] for task, method in curves}
    assert {len(runs) for runs in ends.values()} == {5}
    return {
        (*one, *other): float(pw.geometry.bhattacharyya(ends[one][:, None], ends[other][None]).mean())
        for one in curves
        for other in curves
        if one != other
    }


def of_two_tasks(apart: Ends) -> list[float]:
    """Distances between tasks that are learned in the same way: all of them supervised."""
    return [far for (task, method, other, by), far in apart.items() if method == by and task != other]


def of_two_methods(apart: Ends) -> list[float]:
    """Distances between ways, fine-tuning among them, to learn the same task."""
    return [far for (task, method, other, by), far in apart.items() if task == other and method != by]


def numbers(ds: xr.Dataset) -> list[dict[str, str]]:
    """The numbers of each scene as computed here, by the words that follow them."""
    face = ds.predspace
    progress, steps = face.progress().values, ds["step"].values
    tasks, methods = ds["task"].values, ds["method"].values
    lengths = face.riemann_length()

    def at(step: int, task: str, method: str = "supervised") -> float:
        return float(progress[(steps == step) & (tasks == task) & (methods == method)].mean())

    def length(method: str) -> float:
        chosen = (lengths["task"].values == "5-9") & (lengths["method"].values == method)
        return float(lengths.values[chosen].mean())

    def percent(share: float) -> str:
        return f"{share:.0%}"

    stress = face.inpca(3)["explained_stress"].values
    tasks_apart = face.trajectory_distance("even", "odd")
    apart = ends_apart(ds)
    by_task, by_method = of_two_tasks(apart), of_two_methods(apart)
    epochs = ds["epoch"].values[(tasks == DIGITS) & (methods == "supervised")]
    n_samples, n_classes = ds.sizes["sample"], ds.sizes["class"]
    method_of = dict(zip(ds["run"].values.tolist(), methods.tolist(), strict=True))
    return [
        {"images": str(n_samples), "networks": str(list(method_of.values()).count("supervised"))},
        {"of the": percent(at(300, DIGITS))},
        {"and": percent(at(300, "even")), "of the": percent(at(300, "odd")), ".": percent(at(300, "random labels"))},
        {"apart on average": f"{tasks_apart.mean_distance:.3f}", ".": f"{tasks_apart.floor_mean_distance:.3f}"},
        {
            "images": str(n_samples),
            "free": f"{n_samples * (n_classes - 1):,}",
            "of the": percent(stress[2]),
            "checkpoints": f"{ds.sizes['checkpoint']:,}",
            ".": percent(stress[0]),
        },
        {"of the": percent(at(52, DIGITS)), "of 17": f"{np.unique(epochs)[19]:.0f}", "epochs": f"{epochs.max():.1f}"},
        {
            "from supervised": f"{apart[DIGITS, 'prototypical', DIGITS, 'supervised']:.2f}",
            ".": f"{apart[DIGITS, 'barlow-twins', DIGITS, 'supervised']:.2f}",
        },
        {
            "instead of 4": f"{length(FINE):.1f}",
            "(Riemann": f"{length('supervised'):.1f}",
            "instead of 7": percent(at(300, "5-9", FINE)),
            ".": percent(at(300, "5-9")),
        },
        {
            "networks": str(len(method_of)),
            "between": f"{min(by_task):.2f}",
            "for one task": f"{max(by_method):.2f}",
        },
    ]


def test_every_number_that_is_said_is_computed(explorer: Explorer, ds: xr.Dataset) -> None:
    computed = numbers(ds)
    scenes = explorer.session.scenes
    assert len(scenes) == len(computed) == 9
    for scene, found in zip(scenes, computed, strict=True):
        said = re.sub(r"\b(\d+-\d+)\b", "", scene["say"])  # names of tasks
        values = re.findall(r"\d[\d,.]*\d%?|\d%?", said)
        assert sorted(values) == sorted(found.values()), scene["title"]
        for after, value in found.items():
            assert re.search(rf"{re.escape(value)}\W*{re.escape(after)}", said), (scene["title"], value, after)


def test_what_is_said_in_words_is_so(ds: xr.Dataset) -> None:
    progress = ds.predspace.progress().values
    tasks, methods, steps = (ds[name].values for name in ("task", "method", "step"))
    start = (steps == 0) & (methods == "supervised")
    assert progress[start].max() < 0.04  # near ignorance
    # Fine-tuning starts where its source ended.
    for seed in range(5):
        of_seed = ds["seed"].values == seed
        end = ds["probs"].values[of_seed & (tasks == "0-4") & (methods == "supervised") & (steps == 300)]
        start = ds["probs"].values[of_seed & (methods == FINE) & (steps == 0)]
        assert pw.geometry.bhattacharyya(end, start).item() < 1e-3
    assert len(set(tasks.tolist())) == 7
    ways = {method for method in methods.tolist() if not method.startswith("fine-tuning")}
    assert len(ways) == 5
    # What they learn moves the end most: any two tasks, supervised, are farther apart than any two ways to learn one.
    apart = ends_apart(ds)
    by_task, by_method = of_two_tasks(apart), of_two_methods(apart)
    assert (len(by_task), len(by_method)) == (2 * 21, 2 * (10 + 2))  # pairs, in both orders
    assert min(by_task) > max(by_method)
    # Of the methods, prototypical ends nearest to supervised learning, and Barlow Twins farthest.
    from_supervised = {method: apart[DIGITS, method, DIGITS, "supervised"] for method in ways - {"supervised"}}
    assert min(from_supervised, key=from_supervised.__getitem__) == "prototypical"
    assert max(from_supervised, key=from_supervised.__getitem__) == "barlow-twins"
    assert is_demo(pw.demo())
