"""Build the wheel, install it into an empty environment of each Python that is here, and try it: `make wheel`.

Prints how much is downloaded and lies on disk, and how long it took. What is installed are the pins of
requirements/app.txt, which `pip check` compares with what the wheel asks for.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: The interpreters that are tried, where they are installed.
PYTHONS = ("python3.11", "python3.12", "python3.13", "python3.14")
#: What README.md promises of the download, in MB.
MOST_DOWNLOADED = 300


def main() -> None:
    """Try all; the first failure ends it."""
    with tempfile.TemporaryDirectory() as folder:
        pip(Path(sys.executable), "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, str(ROOT))
        [wheel] = Path(folder).glob("*.whl")
        print(f"{wheel.name}: {megabytes(wheel):.1f} MB")
        for python in PYTHONS:
            if works(python):
                try_wheel(wheel, python, Path(folder, python))
            else:
                print(f"{python} is not here: the wheel is not tried with it")


def works(python: str) -> bool:
    """Whether an interpreter is here; a shim of one that is not answers with an error."""
    return bool(shutil.which(python)) and not subprocess.run([python, "--version"], capture_output=True).returncode


def try_wheel(wheel: Path, python: str, folder: Path) -> None:
    """Install a wheel with its dependencies alone, and try it."""
    subprocess.run([python, "-m", "venv", folder], check=True)
    inside, packages = folder / "bin" / "python", folder / "packages"
    before = megabytes(folder)
    pins = ROOT / "requirements" / "app.txt"
    began = time.monotonic()
    pip(inside, "download", "--no-deps", "--require-hashes", "--requirement", str(pins), "--dest", str(packages))
    downloaded, fetched = megabytes(packages) + megabytes(wheel), time.monotonic()
    pip(inside, "install", "--no-deps", "--no-index", *map(str, packages.iterdir()), str(wheel))
    installed = time.monotonic()
    shutil.rmtree(packages)
    print(
        f"{python}: {downloaded:.0f} MB downloaded in {fetched - began:.0f} s, "
        f"{megabytes(folder) - before:.0f} MB on disk after {installed - fetched:.0f} s more",
        flush=True,
    )
    assert downloaded < MOST_DOWNLOADED, f"more than {MOST_DOWNLOADED} MB are downloaded"
    pip(inside, "check")
    subprocess.run([inside, ROOT / "tests" / "smoke.py"], cwd=folder, env=environment(), check=True)


def pip(python: Path, *arguments: str) -> None:
    """Run pip; what it prints is of interest where it fails."""
    done = subprocess.run(
        [python, "-m", "pip", "--disable-pip-version-check", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
    )
    if done.returncode:
        sys.exit(done.stdout)


def environment() -> dict[str, str]:
    """That of this process, in which nothing leads back to the repository."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def megabytes(path: Path) -> float:
    """Size of a file, or of all files of a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in files if not file.is_dir()) / 1e6


if __name__ == "__main__":
    main()
