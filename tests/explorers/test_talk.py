"""What the talk that ships says is so: every number in it is computed from the demo dataset."""

from __future__ import annotations

import re

import numpy as np
import pytest
import xarray as xr

import predspace_widgets as pw
from predspace_widgets.analysis import analysis_of
from predspace_widgets.explorers.explorer import Explorer
from predspace_widgets.explorers.scenes import is_demo

DIGITS, FINE = "all digits", "fine-tuning from 0-4"


@pytest.fixture(scope="module")
def ds() -> xr.Dataset:
    return pw.demo().compute()


@pytest.fixture(scope="module")
def explorer() -> Explorer:
    return Explorer(pw.demo(), scenes="digits")


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
    methods_apart = {
        name: face.trajectory_distance(DIGITS, f"{DIGITS} · {name}")
        for name in ("fixmatch", "simclr", "barlow-twins", "prototypical")
    }
    assert max(methods_apart, key=lambda name: methods_apart[name].mean_distance) == "simclr"
    assert methods_apart["fixmatch"].p_value > 0.05
    assert all(apart.p_value < 0.05 / 3 for name, apart in methods_apart.items() if name != "fixmatch")
    epochs = ds["epoch"].values[(tasks == DIGITS) & (methods == "supervised")]
    n_samples, n_classes = ds.sizes["sample"], ds.sizes["class"]
    method_of = dict(zip(ds["run"].values.tolist(), methods.tolist(), strict=True))
    return [
        {"images": str(n_samples), "networks": str(list(method_of.values()).count("supervised"))},
        {"of the": percent(at(300, DIGITS))},
        {"and": percent(at(300, "even")), "of the": percent(at(300, "odd")), ".": percent(at(300, "random labels"))},
        {"apart": f"{tasks_apart.mean_distance:.3f}", "of it": f"{tasks_apart.floor_mean_distance:.3f}"},
        {
            "images": str(n_samples),
            "free": f"{n_samples * (n_classes - 1):,}",
            "of the": percent(stress[2]),
            "checkpoints": f"{ds.sizes['checkpoint']:,}",
            ".": percent(stress[0]),
        },
        {"of the": percent(at(52, DIGITS)), "of 17": f"{np.unique(epochs)[19]:.0f}", "epochs": f"{epochs.max():.1f}"},
        {
            "apart": f"{methods_apart['fixmatch'].mean_distance:.3f}",
            ". SimCLR": f"{methods_apart['fixmatch'].floor_mean_distance:.3f}",
            ", goes": f"{methods_apart['simclr'].mean_distance:.3f}",
        },
        {
            "instead of 4": f"{length(FINE):.1f}",
            ", and": f"{length('supervised'):.1f}",
            "instead of 7": percent(at(300, "5-9", FINE)),
            ".": percent(at(300, "5-9")),
        },
        {"networks": str(len(method_of))},
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
    assert len(set(tasks.tolist())) == len(set(methods.tolist())) == 7
    assert is_demo(analysis_of(pw.demo()))
