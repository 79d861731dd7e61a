"""Settings of the tests of the mathematics."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(scope="package", autouse=True)
def _one_thread_for_blas() -> Iterator[None]:
    """Many small matrices: threads that wait for each other cost more than they compute. torch keeps its own."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield
