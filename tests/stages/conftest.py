"""The stages are pure: no task can be left pending, and looking for one after so many tests takes half a minute."""

from __future__ import annotations

import pytest
from hypothesis import settings

settings.register_profile("stages", deadline=None, derandomize=True)
settings.load_profile("stages")


@pytest.fixture(autouse=True)
def no_task_left_pending() -> None:
    """Nothing here makes tasks; a task would fail for want of a running loop."""
