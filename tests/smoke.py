"""What must work where only the wheel and its dependencies are installed (run there by tests/wheel.py)."""

from __future__ import annotations

import importlib.util
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np

import predspace_widgets as pw

COMMAND = Path(sys.executable).with_name("predspace")
#: Packages of extras, none of which may be there.
EXTRAS = ("torch", "torchvision", "sklearn", "distributed", "jupyterlab", "lightning", "transformers", "hdf5plugin")
#: What needs one of them, as a command, and the line that says so.
LACKING = {
    "record digits --out mine.zarr": 'error: recording needs torch: pip install "predspace-widgets[train]"',
    "download CIFAR10": 'error: a dataset of images needs torch: pip install "predspace-widgets[train]"',
    "import tensor.pt mine.zarr": 'it needs torch: pip install "predspace-widgets[train]"',
    "import tensor.safetensors mine.zarr": 'it needs safetensors: pip install "predspace-widgets[import]"',
}


def main() -> None:
    """Run all."""
    assert Path(pw.__file__).is_relative_to(sys.prefix), f"not from the wheel: {pw.__file__}"
    there = [name for name in EXTRAS if importlib.util.find_spec(name)]
    assert not there, f"brought along: {there}"
    for check in (measure, record_and_import, explore, name_what_is_missing, serve):
        check()
        print(f"  {check.__name__.replace('_', ' ')}: works")


def measure() -> None:
    """The demo, distances, a picture with error bars, an estimator as scikit-learn has them."""
    ds = pw.demo()
    P = ds.probs.values[:30].astype(float)
    P /= P.sum(axis=-1, keepdims=True)
    overlaps = np.sqrt(P[:, None] * P[None]).sum(axis=-1)
    expected = -np.log(np.clip(overlaps, 1e-9, 1)).mean(axis=-1)
    np.testing.assert_allclose(pw.geometry.pairwise(P), expected, atol=2e-6)
    for metric in ("great_circle", "symmetric_kl", "euclidean"):
        one_by_one = getattr(pw.geometry, metric)(P[:, None], P[None])
        np.testing.assert_allclose(pw.geometry.pairwise(P, metric=metric), one_by_one, atol=2e-7)
    spread = ds.predspace.select(tasks=["even", "odd"]).predspace.inpca(bootstrap=20, over="samples")
    assert spread.explained_stress.values[-1] > 0.8
    model = pw.InPCA().set_params(n_components=2)
    assert model.fit_transform(P).shape == (30, 2)
    assert repr(model) == "InPCA(n_components=2)"


def record_and_import() -> None:
    """A recording of plain arrays, what the command says of it, and an array of predictions."""
    ds = pw.demo()
    with pw.Recorder("recorded.zarr", labels=ds.label.values, classes=range(10), task="mine", seed=0) as recorder:
        for epoch in range(3):
            recorder.record(ds.probs.values[epoch].astype(float), epoch=epoch)
    np.save("probs.npy", ds.probs.values[:3].astype(np.float32))
    np.save("labels.npy", ds.label.values)
    told = "--tasks mine --method supervised --seeds 0 --epochs checkpoints --probs --row-tolerance 0.01"
    command(f"import probs.npy imported.zarr.zip --labels labels.npy {told}")
    for name in ("recorded.zarr", "imported.zarr.zip"):
        assert "none" in command(f"info {name} --verify")


def explore() -> None:
    """The widget of a notebook, and the page as one file."""
    explorer = pw.Explorer(pw.demo(), tasks=["even", "odd"])
    assert "application/vnd.jupyter.widget-view+json" in explorer._repr_mimebundle_()
    explorer.save("one.html")
    assert Path("one.html").stat().st_size > 500_000


def name_what_is_missing() -> None:
    """One line with what to install, and exit code 2."""
    import zipfile

    with zipfile.ZipFile("tensor.pt", "w") as archive:
        archive.writestr("data", "")
    Path("tensor.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    for arguments, line in LACKING.items():
        done = subprocess.run([COMMAND, *arguments.split()], capture_output=True, text=True, timeout=600)
        assert done.returncode == 2, (arguments, done)
        [said] = done.stderr.splitlines()
        assert said.endswith(line), (arguments, said)


def serve() -> None:
    """The page answers."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    began = time.monotonic()
    server = subprocess.Popen([COMMAND, "serve", "--port", str(port)], stdout=subprocess.DEVNULL)
    try:
        page = ""
        while not page:
            assert server.poll() is None, "the server ended"
            assert time.monotonic() < began + 600, "no answer in 10 minutes"
            try:
                with urllib.request.urlopen(f"http://localhost:{port}/", timeout=60) as answer:
                    page = answer.read().decode()
            except OSError:
                time.sleep(0.1)
        assert re.search("<title>.+</title>", page), page[:500]
        print(f"  a page {time.monotonic() - began:.1f} s after the start of `predspace serve`")
    finally:
        server.terminate()
        server.wait()


def command(arguments: str) -> str:
    """What the command prints."""
    environment = {**os.environ, "NO_COLOR": "1"}
    done = subprocess.run([COMMAND, *arguments.split()], capture_output=True, text=True, timeout=600, env=environment)
    assert done.returncode == 0, (arguments, done.stderr)
    return done.stdout


if __name__ == "__main__":
    main()
