"""Standard output that nobody reads any more, as behind ``| head -1``."""

from __future__ import annotations

import os
import sys


def discard_output() -> None:
    """From now on standard output goes nowhere, and so does what is buffered for it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
