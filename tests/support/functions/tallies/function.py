"""A function for tests: all of its state is of one account each, so it may move with it."""

from __future__ import annotations

from typing import Any

from pulsar_pipeline.online.function import StreamFunction, on
from pulsar_pipeline.online.models import Models


class Sum:
    """An account's live object."""

    def __init__(self) -> None:
        self.value = 0


class Tallies(StreamFunction):
    def setup(self, context: Any) -> None:
        self._sums: Models[Sum] = Models(context, lambda _key: Sum())

    @on("deposits")
    def deposit(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        account, n = event["account"], event["n"]
        total = self._sums[account]
        total.value += n
        context.incr_counter(account, 1)
        context.put_state(f"last/{account}", b"%d" % n)
        count = context.get_counter(account)
        return {"account": account, "n": n, "value": total.value, "running": count, "rate": 1}
