"""The fixture that every test runs under fails a test that leaves an asyncio task pending."""

from __future__ import annotations

from pathlib import Path

import pytest

LEAVES = """
import asyncio
def test_leaves():
    async def main():
        main.task = asyncio.ensure_future(asyncio.sleep(60))
        await asyncio.sleep(0)
    asyncio.run(main())
"""
ENDS = """
import asyncio
def test_ends():
    async def main():
        await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))
    asyncio.run(main())
"""


@pytest.mark.parametrize(("text", "failed"), [(LEAVES, 1), (ENDS, 0)])
def test_a_task_left_pending_fails_the_test(pytester: pytest.Pytester, text: str, failed: int) -> None:
    conftest = (Path(__file__).parent / "conftest.py").read_text()
    pytester.makeconftest(conftest.replace('pytest_plugins = ["pytester"]', ""))
    pytester.makepyfile(text)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, errors=failed)
