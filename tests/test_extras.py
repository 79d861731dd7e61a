"""Without the packages of extras everything else works, and what is missing is named with the extra that brings it."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import predspace_widgets as pw
from predspace_widgets.analysis import Analysis
from predspace_widgets.explorers.hosting import answer_to
from predspace_widgets.explorers.session import Session
from predspace_widgets.explorers.trainings import NoTrainings, allow_training
from predspace_widgets.extras import EXTRAS, MissingExtraError, needs
from predspace_widgets.training import load_recipe, workers
from predspace_widgets.trajectories.testing import random_trajectories

ROOT = Path(__file__).resolve().parents[1]

# Runs first in a new process: packages of extras are not found, as if they were not installed.
WITHOUT = """
import sys
from predspace_widgets.extras import EXTRAS

class NotThere:
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in EXTRAS:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NotThere())
"""


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=ROOT)


def printed(code: str) -> str:
    done = run(code)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_import_brings_nothing_along_that_takes_long() -> None:
    """Nor does the geometry of arrays bring what it computes with, before it computes."""
    late = {"xarray", "pandas", "numba", "dask", "scipy", "zarr", "plotly", "panel", "sklearn", "torch", "h5py"}
    for package in ("predspace_widgets", "predspace_widgets.geometry"):
        assert printed(f"import sys, {package}; print({late | {'anywidget', 'typer'}} & {{*sys.modules}})") == "set()"


def test_datasets_have_the_accessor_whichever_is_imported_first(tmp_path: Path) -> None:
    """Nothing else of the import of xarray is changed by it, and one that fails can be done again."""
    (tmp_path / "xarray.py").write_text("raise RuntimeError('broken')")
    code = """
import importlib, importlib.util, pickle, sys
before = [*sys.meta_path]
import predspace_widgets
from importlib.machinery import PathFinder
assert sys.meta_path[1:] == before
assert importlib.util.find_spec("xarray").name == "xarray" and "xarray" not in sys.modules
sys.path.insert(0, sys.argv[1])
try:
    import xarray
except RuntimeError as error:
    print(error)
sys.path.remove(sys.argv[1])
importlib.invalidate_caches()
import xarray as xr
assert vars(xr.__loader__) == vars(PathFinder.find_spec("xarray").loader), vars(xr.__loader__)
assert xr.__loader__ is xr.__spec__.loader
accessor = xr.Dataset.__dict__["predspace"]
importlib.reload(xr)
assert xr.Dataset.__dict__["predspace"] is accessor
print(type(pickle.loads(pickle.dumps(xr.Dataset({"a": 1}))).a.item()))
print("predspace_widgets.accessor" in sys.modules, hasattr(xr.Dataset, "predspace"))
"""
    done = subprocess.run(
        [sys.executable, "-W", "error::FutureWarning", "-c", code, tmp_path], capture_output=True, text=True, cwd=ROOT
    )
    assert done.stdout.splitlines() == ["broken", "<class 'int'>", "False True"], done.stderr
    for code in (
        "import xarray, predspace_widgets",
        "import importlib, predspace_widgets; importlib.reload(predspace_widgets); import xarray",
    ):
        assert printed(f"{code}; print(hasattr(xarray.Dataset, 'predspace'))") == "True"


def test_all_public_names_are_there_and_no_others() -> None:
    """As tab completion shows them, and as they are asked for."""
    assert {*pw.__all__} == {name for name in dir(pw) if not name.startswith("_")}
    assert all(getattr(pw, name) is not None for name in pw.__all__)
    assert pw.__version__ == version("predspace-widgets")
    with pytest.raises(AttributeError, match="No predspace_widgets attribute nothing"):
        pw.nothing  # noqa: B018


def test_every_module_but_those_that_train_is_imported_without_extras() -> None:
    code = (
        WITHOUT
        + """
import importlib, pkgutil
import predspace_widgets

lacking = set()
for module in pkgutil.walk_packages(predspace_widgets.__path__, "predspace_widgets."):
    try:
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        assert error.name.partition(".")[0] in EXTRAS, error
        lacking.add(module.name)
print(*sorted(lacking))
"""
    )
    lacking = {name.removeprefix("predspace_widgets.") for name in printed(code).split()}
    assert {name for name in lacking if not name.startswith("training.")} == {"geometry.on_torch"}
    recording = {"recorder", "checkpoint", "destination", "logits", "imprint", "settings"}
    assert not lacking & {f"training.{name}" for name in recording}


def test_an_estimator_without_scikit_learn() -> None:
    """Parameters are read, set and shown as with it, and what is not fitted says so."""
    code = (
        WITHOUT
        + """
import numpy as np
from predspace_widgets import InPCA

P = np.random.default_rng(0).dirichlet(np.ones(3), (6, 4))
model = InPCA(metric="euclidean").set_params(n_components=2)
print(model, model.get_params() == {"n_components": 2, "metric": "euclidean", "landmarks": None, "random_state": 0})
for wrong in (lambda: model.transform(P), lambda: model.set_params(axes=2)):
    try:
        wrong()
    except ValueError as error:
        print(error)
print(np.allclose(np.abs(model.fit_transform(P)), np.abs(model.embedding_)))
"""
    )
    assert printed(code).splitlines() == [
        "InPCA(metric='euclidean', n_components=2) True",
        "this InPCA is not fitted yet: call fit before transform",
        "InPCA has no parameter 'axes': it has landmarks, metric, n_components, random_state",
        "True",
    ]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("record digits --out mine.zarr", 'recording needs torch: pip install "predspace-widgets[train]"'),
        ("download CIFAR10", 'a dataset of images needs torch: pip install "predspace-widgets[train]"'),
    ],
)
def test_a_command_names_the_extra(arguments: str, line: str) -> None:
    done = run(WITHOUT + "from predspace_widgets.cli import main; main()", *arguments.split())
    assert (done.returncode, done.stderr) == (2, f"error: {line}\n")


def test_python_names_the_extra() -> None:
    """Of what trains, and of the callbacks for other trainers, whichever of their packages is missing."""
    code = (
        WITHOUT
        + """
for line in ("from predspace_widgets.training import load_recipe", "import predspace_widgets.training.lightning",
             "import predspace_widgets.training.huggingface"):
    try:
        exec(line)
    except ImportError as error:
        print(error)
"""
    )
    assert printed(code).splitlines() == [
        'training needs torch: pip install "predspace-widgets[train]"',
        'recording from Lightning needs torch: pip install "predspace-widgets[lightning]"',
        'recording from the Hugging Face Trainer needs torch: pip install "predspace-widgets[huggingface]"',
    ]


def test_only_what_an_extra_brings_is_named_so() -> None:
    with (
        pytest.raises(MissingExtraError, match=r'^this needs torch: pip install "predspace-widgets\[train\]"$'),
        needs("this"),
    ):
        raise ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn")
    for other in (ModuleNotFoundError("none", name="numpy"), ModuleNotFoundError("none"), ImportError("broken torch")):
        with pytest.raises(ImportError) as raised, needs("this"):
            raise other
        assert raised.value is other


def test_every_extra_that_is_named_brings_the_package() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for package, extra in EXTRAS.items():
        brought = {canonicalize_name(Requirement(line).name) for line in extras[extra]}
        assert {"sklearn": "scikit-learn"}.get(package, package) in brought


def test_without_distributed_one_process_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless more are asked for."""
    monkeypatch.setattr(workers, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "distributed", None)
    recipe = load_recipe("digits")
    with workers.start_workers(recipe) as client:
        assert client is None
    with (
        pytest.raises(ImportError, match=r'training in 2 processes needs distributed: pip .*\[cluster\]"$'),
        workers.start_workers(recipe, workers=2),
    ):
        pass


def test_a_page_says_why_nothing_can_be_trained() -> None:
    session = Session(Analysis(random_trajectories()))
    allow_training(session, NoTrainings(MissingExtraError("training needs torch")))
    for act in ("offers", "start"):
        assert answer_to({"kind": "training", "act": act}, session)[0] == {"error": "training needs torch"}
    assert answer_to({"kind": "training", "act": "stop"}, session)[0] == {"answer": None}
