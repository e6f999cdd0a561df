"""Lowest and highest of an array with unknown entries (NaN), and their numbers from 1; None when nothing is known."""

from __future__ import annotations

import numpy as np

from bms_daemon.model import FloatArray


def _lowest_at(values: FloatArray) -> int | None:
    """numpy's argmin stops at a NaN: the masked search is only for arrays that have one."""
    if not values.size:
        return None
    at = int(values.argmin())
    return at if values.item(at) == values.item(at) else _known_at(np.fmin(values, np.inf), values)


def _highest_at(values: FloatArray) -> int | None:
    if not values.size:
        return None
    at = int(values.argmax())
    return at if values.item(at) == values.item(at) else _known_at(-np.fmax(values, -np.inf), values)


def _known_at(masked: FloatArray, values: FloatArray) -> int | None:
    at = int(masked.argmin())
    return at if values.item(at) == values.item(at) else None


def lowest(values: FloatArray) -> float | None:
    at = _lowest_at(values)
    return None if at is None else values.item(at)


def highest(values: FloatArray) -> float | None:
    at = _highest_at(values)
    return None if at is None else values.item(at)


def number_of_lowest(values: FloatArray) -> int | None:
    at = _lowest_at(values)
    return None if at is None else at + 1


def number_of_highest(values: FloatArray) -> int | None:
    at = _highest_at(values)
    return None if at is None else at + 1


def known(values: FloatArray) -> int:
    """How many entries are known."""
    return values.size - int(np.count_nonzero(np.isnan(values)))
