"""Dask workers for a sweep: those of a scheduler that runs already, or processes on this machine."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

import dask
from dask.system import CPU_COUNT

from predspace_widgets.extras import needs
from predspace_widgets.training.recipe import Recipe

if TYPE_CHECKING:
    from distributed import Client

# Dask tells its workers to give memory back at once. Training takes and frees the same blocks at every step, and took
# twice as long with that setting.
_ENVIRONMENT = {"MALLOC_TRIM_THRESHOLD_": 2**30, "MALLOC_MMAP_THRESHOLD_": 2**30, "OMP_NUM_THREADS": 1}
# Ctrl-C reaches all processes of a terminal, and SIGTERM from a queue all of a job. The workers ignore both, because
# this process ends them.
_IGNORE_SIGNALS = "import signal; [signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)]"
_PATIENCE = "30s"  # for a scheduler to answer


@contextmanager
def start_workers(recipe: Recipe, workers: int | None = None, scheduler: str | None = None) -> Iterator[Client | None]:
    """A Dask client for a recipe's trainings while the context lasts; None where one process is enough.

    Parameters
    ----------
    recipe : Recipe
        On "cpu" there are by default as many workers as its `threads` leave room for, on "cuda" one. Without the extra
        `cluster` there is one.
    workers : int, optional
        Number of processes on this machine.
    scheduler : str, optional
        Address of a scheduler with workers of its own, for example on a cluster. They need the same package and, at
        the same paths, the files that the recipe names.

    Yields
    ------
    distributed.Client or None

    Raises
    ------
    ImportError
        More than one is asked for, without the extra `cluster`.
    OSError
        The scheduler does not answer, or has no workers.

    Examples
    --------
    >>> from predspace_widgets.training import load_recipe
    >>> with start_workers(load_recipe("digits"), workers=1) as client:
    ...     print(client)
    None
    """
    if scheduler is not None:
        with needs("a scheduler"):
            from distributed import Client

        with Client(scheduler, timeout=_PATIENCE) as client:
            try:
                client.wait_for_workers(1, timeout=_PATIENCE)
            except TimeoutError:
                raise OSError(f"the scheduler {scheduler} has no workers: start some with `dask worker`") from None
            yield client
        return
    if workers is None and find_spec("distributed") is None:
        workers = 1
    if workers is None:
        workers = max(1, CPU_COUNT // recipe.threads) if recipe.device == "cpu" else 1
    if workers == 1:
        yield None
        return
    with needs(f"training in {workers} processes"):
        from distributed import Client, LocalCluster

    with (
        dask.config.set(
            {"distributed.nanny.pre-spawn-environ": _ENVIRONMENT, "distributed.worker.preload": [_IGNORE_SIGNALS]}
        ),
        LocalCluster(
            n_workers=workers, threads_per_worker=1, dashboard_address=":0", silence_logs=logging.CRITICAL
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client
