"""A function for tests: all it keeps and answers depends on every event before, and on the order of them."""

from __future__ import annotations

from typing import Any

from pulsar_pipeline.errors import TransientError
from pulsar_pipeline.online.answers import Answer
from pulsar_pipeline.online.function import StreamFunction, on
from pulsar_pipeline.online.models import Models

PRIME = 2_147_483_647

REFUSED, PASSING, LASTING = 53, 997, 1999
"""Events whose number is a multiple of one of these fail: for good, at the first try, at every try."""


class Tally:
    """An account's live object: `value` is of all its deposits in order."""

    def __init__(self) -> None:
        self.value = 7
        self.deposits = 0

    def take(self, n: int) -> None:
        self.value = (self.value * 31 + n) % PRIME
        self.deposits += 1


class Ledger(StreamFunction):
    """Bytes, counters and live objects; keys that come and go; none to three answers to an event, and messages to
    another topic."""

    def setup(self, context: Any) -> None:
        self._tallies: Models[Tally] = Models(context, lambda _key: Tally())
        self._audit = self.config(context)["audit"]
        self._tried: set[int] = set()

    @on("deposits")
    def deposit(self, event: dict[str, Any], context: Any) -> Any:
        account, n = event["account"], event["n"]
        rate = int(context.get_state("rate") or b"1")
        running = (int(context.get_state("running") or b"0") * 31 + n) % PRIME
        context.put_state("running", b"%d" % running)
        context.incr_counter("deposits", 1)
        self._fail(n, context)
        tally = self._tallies[account]
        tally.take(n * rate)
        if tally.value % 11 == 0:
            context.del_state(f"last/{account}")
        else:
            context.put_state(f"last/{account}", b"%d" % n)
        self._tell(f"{account} {n} {running}", tally.value % 7, account, n, context)
        balance = {"account": account, "n": n, "value": tally.value, "running": running, "rate": rate}
        match tally.value % 6:
            case 0:
                return balance
            case 1:
                return [balance, balance | {"value": -tally.value}]
            case 2:
                return [Answer(balance | {"rate": at}, key=f"k{at}", event_time_ms=n + at) for at in range(3)]
            case 3:
                return []
            case _:
                return None

    @on("rules")
    def rule(self, event: dict[str, Any], context: Any) -> dict[str, Any] | None:
        n = event["n"]
        rate = (int(context.get_state("rate") or b"1") * 31 + n) % 1009
        context.put_state("rate", b"%d" % rate)
        context.incr_counter("rules", 1)
        self._tell(f"rate {n} {rate}", rate % 3, None, n, context)
        if rate % 2:
            return None
        return {"account": "all", "n": n, "value": rate, "running": context.get_counter("deposits"), "rate": 0}

    def _tell(self, text: str, which: int, key: str | None, n: int, context: Any) -> None:
        """None to two messages."""
        for at in range(max(0, which - 4) if key else which):
            conf = {"event_timestamp": n + at} | ({"partition_key": key} if key else {})
            context.publish(self._audit, f"{text} {at}".encode(), properties={"at": str(at)}, message_conf=conf)

    def _fail(self, n: int, context: Any) -> None:
        """What the event has put and published by now is to be taken back."""
        if n % REFUSED == 0:
            context.publish(self._audit, b"never: %d" % n)
            raise ValueError(f"{n} is refused")
        if n % LASTING == 0 or (n % PASSING == 0 and n not in self._tried):
            self._tried.add(n)
            context.publish(self._audit, b"never: %d" % n)
            raise TransientError(f"{n} at a bad time")
