"""The second dataset that ships: data/sweep.zarr.zip is what its recipe and data/README.md say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import predspace_widgets as pw
from predspace_widgets.training import load_recipe, parse_recipe, plan_runs
from predspace_widgets.training.run import load_data
from predspace_widgets.trajectories import demo_path

README = (
    (Path(__file__).resolve().parents[2] / "data" / "README.md").read_text(encoding="utf-8").partition("# sweep")[2]
)
FACTORS = ("architecture", "optimizer", "augmentation", "learning_rate", "batch_size", "weight_decay", "initialization")
ARCHITECTURES = ("cnn-4", "cnn-8", "cnn-16", "mlp", "resnet")


@pytest.fixture(scope="module")
def sweep() -> xr.Dataset:
    return pw.demo("sweep")


def test_size_on_disk() -> None:
    size = demo_path("sweep").stat().st_size
    assert size <= 12 * 10**6
    assert f"{size / 1e6:.1f} MB" in README


def test_other_names_of_demos_are_refused() -> None:
    with pytest.raises(ValueError, match="no dataset 'swep' ships with this package; these do: digits, sweep"):
        pw.demo("swep")  # type: ignore[arg-type]


def test_runs_are_those_of_the_recipe(sweep: xr.Dataset) -> None:
    recipe = load_recipe("sweep")
    assert parse_recipe(sweep.attrs["recipe"], "sweep") == recipe
    runs = plan_runs(recipe)
    assert list(dict.fromkeys(sweep["run"].values)) == [run.name for run in runs]
    assert len(runs) == 168
    assert {tuple(run["step"].values) for _, run in sweep.groupby("run")} == {recipe.checkpoints.steps(200)}
    assert set(sweep.attrs["curves_by"]) == set(FACTORS)
    assert "diverged" not in sweep.attrs
    assert sweep["probs"].encoding["store"] == "log_probs"


def test_every_factor_is_compared_where_all_others_are_equal(sweep: xr.Dataset) -> None:
    """Three seeds on both sides, for each pair of values of a factor, in at least three settings of the others."""
    table = sweep.coords.to_dataset()[[*FACTORS, "seed"]].to_dataframe().drop_duplicates()
    for factor in FACTORS:
        others = [name for name in FACTORS if name not in (factor, "learning_rate" if factor == "optimizer" else "")]
        groups = [group for _, group in table.groupby(others) if group[factor].nunique() > 1]
        assert len(groups) >= 3, factor
        assert all((group.groupby(factor)["seed"].nunique() == 3).all() for group in groups)


def test_samples_are_training_and_test_images(sweep: xr.Dataset) -> None:
    train, evaluation = load_data(load_recipe("sweep"))
    np.testing.assert_array_equal(sweep["sample"], evaluation.sample_ids)
    np.testing.assert_array_equal(sweep["label"], evaluation.labels)
    np.testing.assert_array_equal(sweep["image"], evaluation.images)
    assert np.array_equal(sweep["subset"], np.repeat(["train", "test"], [100, 200]))
    held_out = set(pw.demo()["sample"].values.tolist())
    is_test = (sweep["subset"] == "test").values
    assert set(sweep["sample"].values[is_test].tolist()) <= held_out
    assert set(sweep["sample"].values[~is_test].tolist()) <= set(train.sample_ids.tolist()) - held_out


def is_detour(sweep: xr.Dataset) -> np.ndarray:
    """Checkpoints (T,) of runs whose statistics of batch norm are far behind their weights, see data/README.md."""
    found = (sweep["initialization"] == "corner") & (sweep["optimizer"] == "sgd") & (sweep["architecture"] != "mlp")
    return found.values


def test_metrics_fit_the_stored_predictions(sweep: xr.Dataset) -> None:
    for subset in ("train", "test"):
        part = sweep.predspace.of_samples(subset=subset)
        right = part["probs"].values.argmax(axis=2) == part["label"].values  # (T, N)
        np.testing.assert_allclose(right.mean(axis=1), sweep[f"{subset}_accuracy"], atol=2.5 / part.sizes["sample"])
        of_truth = part["probs"].values[:, np.arange(right.shape[1]), part["label"].values]
        stored, recorded = -np.log(of_truth).mean(axis=1), sweep[f"{subset}_loss"].values
        far = is_detour(sweep)  # where some probabilities are below the smallest number of float32
        np.testing.assert_allclose(stored[~far], recorded[~far], rtol=2**-10)
        assert (stored[far] < recorded[far] * (1 + 2**-10)).all()


def test_a_run_starts_near_ignorance_or_at_the_corner_of_its_seed(sweep: xr.Dataset) -> None:
    """Of training images: those that start at a corner are far from ignorance, and nearer to those of their seed."""
    starts = sweep.isel(checkpoint=(sweep["step"] == 0).values).predspace.of_samples(subset="train")
    is_corner = (starts["initialization"] == "corner").values
    loss = starts["train_loss"].values
    assert (np.abs(loss[~is_corner] - np.log(10)) < 0.05).all()
    assert (starts["train_accuracy"].values[is_corner] < 0.25).all()
    corners = starts.isel(checkpoint=is_corner)
    distances, seeds = corners.predspace.distances().values, corners["seed"].values
    same = seeds[:, None] == seeds[None, :]
    assert distances[same & ~np.eye(len(seeds), dtype=bool)].max() < distances[~same].min()


def test_it_is_joined_with_the_first_on_common_samples(sweep: xr.Dataset) -> None:
    both = pw.join([pw.demo(), sweep], samples="common", names=["digits", "sweep"])
    assert both.sizes["sample"] == 200
    assert set(both["subset"].values) == {"test"}
    assert both.sizes["checkpoint"] == 1950 + sweep.sizes["checkpoint"]


# -- the numbers of data/README.md ------------------------------------------------------------------------------------

CENTRE = {
    "batch_size": [64],
    "weight_decay": [0.0005],
    "learning_rate": [0.05, 0.005],
    "initialization": ["ignorance"],
}


@pytest.fixture(scope="module")
def of_subset(sweep: xr.Dataset) -> dict[str, xr.Dataset]:
    return {subset: sweep.predspace.of_samples(subset=subset) for subset in ("train", "test")}


def cells(first_cell: str) -> dict[str, list[str]]:
    """Rows of a table by their first cell."""
    found = re.search(rf"^\| {first_cell} \|.*\n\|[ |-]+\|\n((?:\|.*\n)+)", README, re.MULTILINE)
    assert found is not None
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in found[1].splitlines()]
    return {name: others for name, *others in rows}


def written(pattern: str) -> list[float]:
    """Numbers of the text, by a pattern with a group for each; spaces stand for any white space."""
    found = re.search(pattern.replace(" ", r"\s+"), README)
    assert found is not None, pattern
    return [float(number.replace(",", "")) for number in found.groups()]


def stress(ds: xr.Dataset, **chosen: str) -> float:
    part = ds.predspace.select(**chosen) if chosen else ds
    return float(part.predspace.inpca()["explained_stress"].values[2])


def test_table_of_architectures(of_subset: dict[str, xr.Dataset]) -> None:
    rows = cells("architecture")
    assert tuple(rows) == ARCHITECTURES
    centre = {name: ds.predspace.select(where=CENTRE) for name, ds in of_subset.items()}
    progress = {name: ds.predspace.progress().values for name, ds in centre.items()}
    test = centre["test"]
    for architecture, row in rows.items():
        last = (test["architecture"].values == architecture) & (test["step"].values == 200)
        assert last.sum() == 12
        values = (test["test_accuracy"].values[last], progress["test"][last], progress["train"][last])
        for cell, of_runs in zip(row[:3], values, strict=True):
            mean_and_spread = [float(number) for number in cell.split(" ± ")]
            assert mean_and_spread == pytest.approx([of_runs.mean(), of_runs.std(ddof=1)], abs=6e-4), architecture
        for cell, subset in zip(row[3:], ("test", "train"), strict=True):
            near = stress(of_subset[subset], architecture=architecture, initialization="ignorance")
            assert float(cell) == pytest.approx(near, abs=6e-4), architecture


def test_explained_stress_of_all(of_subset: dict[str, xr.Dataset]) -> None:
    (near,) = written(r"explained to ([\d.]+) by three axes")
    for ds in of_subset.values():
        assert near == pytest.approx(stress(ds, initialization="ignorance"), abs=6e-4)
    assert written(r"start at corners it is ([\d.]+) and ([\d.]+):") == pytest.approx(
        [stress(of_subset["test"]), stress(of_subset["train"])], abs=6e-4
    )


def matrices(ds: xr.Dataset, with_p: bool = True) -> Iterator[tuple[str, xr.Dataset, np.ndarray]]:
    """The matrix of each factor, and its pairs."""
    centre = ds.predspace.select(where=CENTRE)
    for factor in FACTORS[:3]:
        differ = centre.predspace.curves_by(factor).predspace.matrix(with_p=with_p)
        yield factor, differ, np.triu(np.ones(differ["distance"].shape, dtype=bool), 1)


def test_what_separates_trainings(of_subset: dict[str, xr.Dataset]) -> None:
    rows = cells("factor")
    assert tuple(rows) == FACTORS[:3]
    for factor, differ, pairs in matrices(of_subset["test"]):
        n_pairs, distance, over_floor, p = rows[factor]
        assert int(n_pairs) == pairs.sum()
        assert float(distance) == pytest.approx(differ["distance"].values[pairs].mean(), abs=6e-5)
        ratios = (differ["distance"] / differ["floor"]).values[pairs]
        for cell, values, rounding in ((over_floor, ratios, 0.06), (p, differ["p_value"].values[pairs], 6e-4)):
            bounds = [float(number) for number in cell.split(" to ")]
            assert bounds == pytest.approx(sorted({values.min(), values.max()}), abs=rounding)
        if factor == "architecture":
            assert_told_apart_but_three(differ)
            (reached,) = written(r"up to progress ([\d.]+) only")
            assert reached == pytest.approx(differ.attrs["progress_range"][1], abs=6e-4)
    of_train = [
        float(differ["distance"].values[pairs].mean())
        for _, differ, pairs in matrices(of_subset["train"], with_p=False)
    ]
    assert written(r"the same \(([\d.]+), ([\d.]+) and ([\d.]+)\)") == pytest.approx(of_train, abs=6e-5)


def assert_told_apart_but_three(differ: xr.Dataset) -> None:
    """By Holm's correction at 0.05, all pairs of architectures but those that the text names."""
    names = [str(name).removeprefix("all digits @ ") for name in differ["curve"].values]
    p = {
        (one, other): float(differ["p_value"][i, j]) for i, one in enumerate(names) for j, other in enumerate(names[:i])
    }
    left = {frozenset(pair) for pair in p}
    for pair in sorted(p, key=p.__getitem__):
        if p[pair] * len(left) > 0.05:
            break
        left.remove(frozenset(pair))
    assert left == {frozenset(pair) for pair in (("cnn-4", "cnn-8"), ("cnn-4", "resnet"), ("cnn-8", "resnet"))}


def test_corners_join(of_subset: dict[str, xr.Dataset]) -> None:
    large = {"architecture": ["cnn-16", "mlp", "resnet"], "augmentation": ["none"], **CENTRE}
    ds = of_subset["test"].predspace.select(where={**large, "initialization": ["ignorance", "corner"]})
    ends = ds.isel(checkpoint=np.isin(ds["step"].values, [0, 200]))
    between = ends.predspace.distances().values
    step, seed, optimizer = (ends[name].values for name in ("step", "seed", "optimizer"))
    from_corner = (ends["initialization"] == "corner").values
    other = ~np.eye(len(step), dtype=bool)

    def mean(first: np.ndarray, second: np.ndarray, also: np.ndarray = other) -> float:
        return float(between[np.outer(first, second) & also].mean())

    at_corner, near = from_corner & (step == 0), ~from_corner & (step == 0)
    same = seed[:, None] == seed[None, :]
    assert written(r"different seeds are ([\d.]+) apart, those of one seed ([\d.]+), and both ([\d.]+) from") == (
        pytest.approx(
            [mean(at_corner, at_corner, ~same), mean(at_corner, at_corner, same & other), mean(at_corner, near)],
            abs=6e-3,
        )
    )
    numbers = []
    for name in ("sgd", "adam"):
        last = (step == 200) & (optimizer == name)
        numbers += [mean(last & from_corner, last & ~from_corner), mean(last & ~from_corner, last & ~from_corner)]
    assert written(r"are ([\d.]+) from those from near ignorance, which are ([\d.]+) from each other") == (
        pytest.approx(numbers[:2], abs=6e-4)
    )
    assert written(r"by Adam ([\d.]+) and ([\d.]+)\. On the way") == pytest.approx(numbers[2:], abs=6e-4)
    along = []
    for name in ("sgd", "adam"):
        differ = ds.predspace.select(optimizer=name).predspace.curves_by("initialization").predspace.matrix()
        along.append(float(differ["distance"][0, 1]))
        assert float(differ["p_value"][0, 1]) == pytest.approx(0.001, abs=6e-4)
    assert written(r"\(([\d.]+) by SGD and ([\d.]+) by Adam at equal progress, both p 0\.001\)") == (
        pytest.approx(along, abs=6e-4)
    )


def test_greatest_losses(sweep: xr.Dataset) -> None:
    far = is_detour(sweep)
    largest, of_others = written(r"a test loss of up to ([\d.]+), of all other runs up to (\d+\.\d+)")
    assert largest == pytest.approx(float(sweep["test_loss"].values[far].max()), abs=0.6)
    assert of_others == pytest.approx(float(sweep["test_loss"].values[~far].max()), abs=0.06)
    (n_small,) = written(r"There ([\d,]+) of the 8\.06 million")
    smallest = sweep["probs"].values.astype(np.float64) < 2e-45  # the next number of float32 is 2.8e-45
    assert smallest.sum() == n_small
    assert not smallest[~far].any()
