"""Styled text for the screen: rows of spans, fitted to a width, written as ANSI or plain characters."""

from __future__ import annotations

import math
from typing import TypeAlias

Span: TypeAlias = tuple[str, str]
"""Text and the name of its style, a key of ``STYLES``."""
Row: TypeAlias = list[Span]

STYLES = {  # SGR parameters, ECMA-48 8.3.117
    "": "",
    "dim": "2",
    "strong": "1",
    "title": "36",
    "good": "32",
    "warn": "33",
    "bad": "1;31",
    "on_good": "1;30;42",
    "on_calm": "1;37;44",
    "on_warn": "1;30;43",
    "on_bad": "1;37;41",
}
ASCII = str.maketrans("█▉▊▋▌▍▎▏░─▲▼±°≤·", "########.-^v+o<.")
EIGHTHS = " ▏▎▍▌▋▊▉█"


def fit(row: Row, width: int) -> Row:
    """The row cut to at most ``width`` characters."""
    kept: Row = []
    for text, style in row:
        if width <= 0:
            break
        kept.append((text[:width], style))
        width -= len(text)
    return kept


def plain(row: Row) -> str:
    """The row's characters."""
    return "".join(text for text, _ in row)


def ansi(row: Row, colour: bool = True, unicode: bool = True) -> str:
    """The row for a terminal; without ``colour`` no styles, without ``unicode`` nothing but ASCII."""
    if not colour:
        text = plain(row)
    else:
        text = "".join(f"\x1b[{STYLES[style]}m{text}\x1b[0m" if style else text for text, style in row)
    return text if unicode else text.translate(ASCII).encode("ascii", "replace").decode()


def bar(share: float, width: int) -> str:
    """A bar of ``width`` characters filled to ``share`` (0 to 1, clamped; NaN is empty), in eighths of a character."""
    eighths = round(8 * width * min(1.0, max(0.0, share))) if share == share else 0
    full, rest = divmod(eighths, 8)
    return ("█" * full + (EIGHTHS[rest] if rest else ""))[:width].ljust(width)


def rule(title: str, width: int, note: str = "") -> Row:
    """A line across with a title, and a note behind it."""
    head = [("── ", "dim"), (f"{title} ", "title"), (f"{note} " if note else "", "")]
    return [*head, ("─" * max(0, width - len(plain(head))), "dim")]


def number(value: float, form: str, unit: str) -> str:
    """``value`` in a format such as ``7.2f``, a dash of the same width when it is not known."""
    width = int(form.lstrip("+").split(".")[0])
    return f"{value:{form}} {unit}" if value == value else f"{'-':>{width}} {unit}"


def words(name: str) -> str:
    """An enumeration's name as people write it."""
    return name.lower().replace("_", " ")


def lasts(empty_s: float | None, full_s: float | None) -> str:
    """Hours and minutes to the end that the present current leads to; None and infinity are no end."""
    for name, span_s in (("empty", empty_s), ("full", full_s)):
        if span_s is not None and math.isfinite(span_s):
            minutes = round(span_s / 60.0)
            return f"{name} in {minutes // 60} h {minutes % 60:02} min"
    return "no end in sight"
