"""A function for tests: windows of two kinds, whose values tell of every click that came in and of their order."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pulsar_pipeline.online.function import StreamFunction, on
from pulsar_pipeline.online.session_windows import SessionWindows
from pulsar_pipeline.online.windowing import Window
from pulsar_pipeline.online.windows import TumblingWindows

PRIME = 2_147_483_647


class Tally:
    """`value` is of all clicks in their order."""

    def __init__(self) -> None:
        self.clicks, self.value = 0, 7

    def update(self, n: int) -> None:
        self.clicks += 1
        self.value = (self.value * 31 + n) % PRIME

    def __add__(self, later: Tally) -> Tally:
        both = Tally()
        both.clicks, both.value = self.clicks + later.clicks, (self.value * 37 + later.value) % PRIME
        return both


class Minutes(StreamFunction):
    """Seconds, which run fast in tests, with a lateness of half a second; and visits with a gap of a fifth."""

    def setup(self, context: Any) -> None:
        self.seconds: TumblingWindows[Tally] = TumblingWindows(
            context, Tally, size=timedelta(seconds=1), lateness=timedelta(milliseconds=500), name="seconds"
        )
        self.visits: SessionWindows[Tally] = SessionWindows(
            context,
            Tally,
            gap=timedelta(milliseconds=200),
            lateness=timedelta(milliseconds=500),
            late=lambda _event, _context: None,
            name="visits",
        )

    @on("clicks")
    def click(self, click: dict[str, Any], context: Any) -> list[Any]:
        page, n, at = click["page"], click["n"], click["at"]
        seconds = self.seconds.add(page, click, context, value=n, at=at)
        visits = self.visits.add(page, click, context, value=n, at=at)
        return [self._span("second", each) for each in seconds] + [self._span("visit", each) for each in visits]

    def _span(self, kind: str, window: Window[Tally]) -> Any:
        return window.answer(
            {
                "kind": kind,
                "page": window.key,
                "start": window.start_ms,
                "end": window.end_ms,
                "clicks": window.value.clicks,
                "value": window.value.value,
            }
        )
