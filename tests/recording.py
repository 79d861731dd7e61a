"""A process of its own that records what it is told to: a line "record N", "close", or "fail" at a time.

python -m tests.recording STORE [TASK [SEED [N_SAMPLES]]]
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

N_SAMPLES, N_CLASSES = 40, 5


def labels_of(n_samples: int = N_SAMPLES) -> np.ndarray:
    return np.arange(n_samples) % N_CLASSES


def predictions(step: int, seed: int = 0, n_samples: int = N_SAMPLES) -> np.ndarray:
    """Logits (N, C) that learn, with some noise of their own."""
    rng = np.random.default_rng([seed, step])
    truth = np.eye(N_CLASSES)[labels_of(n_samples)]
    return 0.25 * step * truth + rng.normal(scale=0.3, size=truth.shape)


class RecordingProcess:
    """Drives such a process; each call returns once it has done what it was told."""

    def __init__(self, store: Path, task: str = "even", seed: int = 0) -> None:
        command = [sys.executable, "-m", "tests.recording", str(store), task, str(seed)]
        root = Path(__file__).resolve().parents[1]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)
        self.tell("ready")

    def tell(self, line: str) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline().strip() == "done", line

    def record(self, n: int) -> None:
        self.tell(f"record {n}")

    def kill(self) -> None:
        """With SIGKILL: it can do nothing about it."""
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """As a script ends."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()


def main() -> None:
    from predspace_widgets.training.recorder import Recorder

    store, task, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
    recorder = Recorder(store, labels=labels_of(), task=task, seed=seed, inputs="logits", resume=True)
    step = 0 if recorder.last_step is None else recorder.last_step + 1
    for line in sys.stdin:
        what, *rest = line.split()
        if what == "record":
            for _ in range(int(rest[0])):
                recorder.record(predictions(step, seed), epoch=step / 4, step=step)
                step += 1
        elif what == "close":
            recorder.close()
        print("done", flush=True)


if __name__ == "__main__":
    main()
