"""Settings that all tests share: how hypothesis searches."""

from __future__ import annotations

import os

from hypothesis import settings

# No deadline: the first call of a torch kernel is slow. In CI the examples are the same on every run.
settings.register_profile("ci", deadline=None, derandomize=True, database=None, max_examples=50, print_blob=True)
settings.register_profile("dev", deadline=None, max_examples=25)
settings.load_profile("ci" if os.environ.get("CI") else "dev")
