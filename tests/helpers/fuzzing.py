"""Decoders against whatever may come: many examples in every run, far more when ``scripts/fuzz`` asks for them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

EXAMPLES = int(os.environ.get("BMS_FUZZ_EXAMPLES", "10000"))


def fuzz(test: Callable[..., Any]) -> Callable[..., Any]:
    """Of a test that ``given`` feeds with bytes."""
    wide = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    marked: Callable[..., Any] = pytest.mark.fuzz(wide(test))
    return marked
