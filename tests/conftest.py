"""Settings that all tests share: how hypothesis searches, and in which order tests run."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

# No deadline, and no complaint about slow examples: the first call of a torch kernel is slow, and so is a busy machine.
_PATIENT = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow], "database": None, "print_blob": True}
# `make test` tries the same examples on every run, on every machine: what passed once passes again.
settings.register_profile("same", derandomize=True, max_examples=25, **_PATIENT)
# `make fuzz` tries others each time, see fuzz.py.
settings.register_profile("fuzz", derandomize=False, max_examples=100, **_PATIENT)
settings.load_profile("same")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The notebooks first: they take minutes, and all other tests run beside them rather than before them."""
    items.sort(key=lambda item: item.path.name != "test_notebooks.py")
