"""A function for tests: all it keeps and answers depends on every event before, and on the order of them."""

from __future__ import annotations

from typing import Any

from pulsar_pipeline.online.function import StreamFunction, on
from pulsar_pipeline.online.models import Models

PRIME = 2_147_483_647


class Tally:
    """An account's live object: `value` is of all its deposits in order."""

    def __init__(self) -> None:
        self.value = 7
        self.deposits = 0

    def take(self, n: int) -> None:
        self.value = (self.value * 31 + n) % PRIME
        self.deposits += 1


class Ledger(StreamFunction):
    """Bytes, counters and live objects; keys that come and go; an answer to some events only."""

    def setup(self, context: Any) -> None:
        self._tallies: Models[Tally] = Models(context, lambda _key: Tally())

    @on("deposits")
    def deposit(self, event: dict[str, Any], context: Any) -> dict[str, Any] | None:
        account, n = event["account"], event["n"]
        rate = int(context.get_state("rate") or b"1")
        tally = self._tallies[account]
        tally.take(n * rate)
        context.incr_counter("deposits", 1)
        running = (int(context.get_state("running") or b"0") * 31 + n) % PRIME
        context.put_state("running", str(running).encode())
        if tally.value % 11 == 0:
            context.del_state(f"last/{account}")
        else:
            context.put_state(f"last/{account}", b"%d" % n)
        if tally.value % 3:
            return None  # an answer to about every third only
        return {"account": account, "n": n, "value": tally.value, "running": running, "rate": rate}

    @on("rules")
    def rule(self, event: dict[str, Any], context: Any) -> dict[str, Any] | None:
        rate = (int(context.get_state("rate") or b"1") * 31 + event["n"]) % 1009
        context.put_state("rate", str(rate).encode())
        context.incr_counter("rules", 1)
        if rate % 2:
            return None
        return {"account": "all", "n": event["n"], "value": rate, "running": context.get_counter("deposits"), "rate": 0}
