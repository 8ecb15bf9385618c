"""Coroutines run to their end where no runtime has an event loop: under the stock runtime, in tests, in the trial of a
package."""

from __future__ import annotations

import asyncio
import inspect
import weakref
from collections.abc import Awaitable
from typing import Any


class CoroutineRunner:
    """One event loop, made at first use; for one thread that has none running."""

    def __init__(self) -> None:
        self._runner: asyncio.Runner | None = None

    def finished(self, returned: Any) -> Any:
        """What an awaitable comes to; anything else as it is. Raises what the coroutine raises."""
        if not inspect.isawaitable(returned):
            return returned
        if self._runner is None:
            self._runner = asyncio.Runner()
            weakref.finalize(self, self._runner.close)
        return self._runner.run(_awaited(returned))

    def close(self) -> None:
        """Close the loop, if there is one. The next coroutine would get a new one."""
        if self._runner is not None:
            self._runner.close()
            self._runner = None


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
