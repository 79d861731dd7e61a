"""What tests of large predictions share."""

from __future__ import annotations

from typing import Any

import pytest

from predspace_widgets.analysis import measurements
from predspace_widgets.geometry import pairwise


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Number of samples of each block that distances are computed of."""
    seen: list[int] = []

    def counted(P: Any, *args: Any, **options: Any) -> Any:
        seen.append(P.shape[1])
        return pairwise(P, *args, **options)

    monkeypatch.setattr(measurements, "pairwise", counted)
    return seen
