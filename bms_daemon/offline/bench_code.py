"""Sizes of the code itself: lines of files, lines of functions."""

from __future__ import annotations

import ast
from pathlib import Path

import bms_daemon
from bms_daemon.offline.bench_figure import Figure, percentile

FILE_MEDIAN, FILE_MOST, FUNCTION_MEDIAN, FUNCTION_MOST = 150, 400, 8, 60
Function = ast.FunctionDef | ast.AsyncFunctionDef


def figures(root: Path | None = None) -> list[Figure]:
    """Median and largest of the package's files and functions; empty files are none."""
    folder = root or Path(bms_daemon.__file__).parent
    sources = {path: path.read_text(encoding="utf-8") for path in folder.rglob("*.py")}
    files = {str(path.relative_to(folder)): len(text.splitlines()) for path, text in sources.items() if text.strip()}
    functions = {
        f"{path.relative_to(folder)}: {node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for path, text in sources.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, Function)
    }
    return [
        *_sizes("file", files, FILE_MEDIAN, FILE_MOST),
        *_sizes("function", functions, FUNCTION_MEDIAN, FUNCTION_MOST),
    ]


def _sizes(kind: str, lines: dict[str, int], median: int, most: int) -> list[Figure]:
    largest = max(lines, key=lambda name: lines[name])
    return [
        Figure(f"median {kind}", percentile(list(lines.values()), 0.5), "lines", median, note=f"{len(lines)} {kind}s"),
        Figure(f"largest {kind}", lines[largest], "lines", most, note=largest),
    ]
