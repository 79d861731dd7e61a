"""Settings that all tests share: how hypothesis searches, and on how many threads matrices are multiplied."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from threadpoolctl import threadpool_limits

# No deadline, and no complaint about slow examples: the first call of a torch kernel is slow, and so is a busy machine.
_PATIENT = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow], "database": None, "print_blob": True}
# `make test` tries the same examples on every run, on every machine: what passed once passes again.
settings.register_profile("same", derandomize=True, max_examples=25, **_PATIENT)
# `make fuzz` tries others each time, see fuzz.py.
settings.register_profile("fuzz", derandomize=False, max_examples=100, **_PATIENT)
settings.load_profile("same")


@pytest.fixture(scope="session", autouse=True)
def _one_thread_for_blas() -> Iterator[None]:
    """Many small matrices: threads that wait for each other cost more than they compute. torch keeps its own."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield
