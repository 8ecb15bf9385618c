"""Session windows: the events of a key between two quiet times. `windows.py` tells what all windows have in common."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import reduce
from typing import Any

from pulsar_pipeline.online.agenda import Agenda
from pulsar_pipeline.online.event_clock import span_ms
from pulsar_pipeline.online.folding import Merge, Update, folded, merge_by_adding, update_in_place
from pulsar_pipeline.online.windowing import NO_SPAN, Accumulator, Late, Window, Windows, in_order, send_late

_Session = tuple[int, int, Any]
"""Start, end, accumulator."""


class _Sessions:
    """A key's open sessions, in order, and when the agenda looks at them."""

    __slots__ = ("dues", "sessions")

    def __init__(self, dues: list[int] | None = None, sessions: list[_Session] | None = None) -> None:
        self.dues = dues or []
        self.sessions = sessions or []

    def __reduce__(self) -> tuple[Any, ...]:
        return _Sessions, (self.dues, self.sessions)


class SessionWindows(Windows[Accumulator]):
    """A session begins with an event and ends `gap` after its last one.

    An event less than `gap` from two sessions joins them. Its key's open sessions are one object of the state, so
    `lateness` should not be very many gaps.
    """

    def __init__(
        self,
        context: Any,
        start: Callable[[], Accumulator],
        update: Update = update_in_place,
        merge: Merge = merge_by_adding,
        *,
        gap: timedelta,
        lateness: timedelta = NO_SPAN,
        idle_after: timedelta | None = None,
        late: Late = send_late,
        name: str = "windows",
    ) -> None:
        """`start` and `update` are as for other windows; `merge(earlier, later)` gives the accumulator of two sessions
        that became one, by default `earlier + later`."""
        super().__init__(context, start, update, lateness=lateness, name=name, late=late, idle_after=idle_after)
        self._gap_ms = span_ms(gap, "gap")
        self._merge = merge

    def _take(self, context: Any, agenda: Agenda, watermark: int, key: str, at_ms: int, value: Any) -> bool:
        found = self._objects.get(context, f"sessions/{key}", _Sessions)
        try:
            session = self._joined(found.sessions, watermark, at_ms, value)
            if session is None:
                return False
            apart = [each for each in found.sessions if each[1] <= session[0] or session[1] <= each[0]]
            found.sessions = sorted([*apart, session], key=_begin)
        finally:
            if not found.sessions:
                self._objects.delete(context, f"sessions/{key}")
        self._look_again(context, agenda, key, found)
        return True

    def _joined(self, sessions: list[_Session], watermark: int, at_ms: int, value: Any) -> _Session | None:
        """The session that an event belongs to, made of all that it touches; None where that is over."""
        touched = [each for each in sessions if each[0] < at_ms + self._gap_ms and at_ms < each[1]]
        begin = min([at_ms, *(each[0] for each in touched)])
        end = max([at_ms + self._gap_ms, *(each[1] for each in touched)])
        if end <= watermark:
            return None
        accumulator = reduce(self._merge, (each[2] for each in touched)) if touched else self._start()
        return begin, end, folded(accumulator, value, self._update)

    def _close(self, context: Any, agenda: Agenda, until: int | None) -> list[Window[Accumulator]]:
        closed: list[Window[Accumulator]] = []
        due = agenda.take_due(self._objects, context, until)
        for key in dict.fromkeys(entry.partition("/")[2] for entry in due):
            found = self._objects.get(context, f"sessions/{key}", _Sessions)
            closed += [Window(key, *each) for each in found.sessions if until is None or each[1] <= until]
            found.sessions = [each for each in found.sessions if until is not None and each[1] > until]
            found.dues = [each for each in found.dues if until is not None and each > until]
            if found.sessions:
                self._look_again(context, agenda, key, found)
            else:
                self._objects.delete(context, f"sessions/{key}")
        return in_order(closed)

    def _look_again(self, context: Any, agenda: Agenda, key: str, found: _Sessions) -> None:
        """At the first end of a session, at the latest. A session that grows is left where it is until then."""
        first = min(each[1] for each in found.sessions)
        if not found.dues or first < min(found.dues):
            found.dues.append(first)
            agenda.add(self._objects, context, f"{first}/{key}", first)


def _begin(session: _Session) -> int:
    return session[0]
