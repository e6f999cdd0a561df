"""The loaded DBC is thousands of objects that stay: they are kept out of the collection after every test."""

from __future__ import annotations

import gc

import pytest


@pytest.fixture(scope="session", autouse=True)
def frozen_heap() -> None:
    gc.collect()
    gc.freeze()
