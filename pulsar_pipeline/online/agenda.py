"""What falls due when, of a partition: an ordered list of dues that is cheap to keep in the partition's state.

Entries stand in pages of a bounded size, each an object of the state, so that a commit writes the pages that changed
and never the whole list. The order is a heap in memory, made from the pages at first need.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Any

from pulsar_pipeline.online.live_objects import LiveObjects

PAGE = 256
"""Most entries of a page."""

Page = dict[str, int]
"""Entry → when it is due."""


class Agenda:
    """The root: a partition's watermark and which pages there are. Its pickled form has a number per page."""

    __slots__ = ("_heap", "_next_page", "_pages", "busy", "waiting", "watermark")

    def __init__(self) -> None:
        self.watermark: int | None = None
        """No window that ends here or before is open; None before the first event."""
        self.waiting = False
        """The idle timer is set."""
        self.busy = False
        """Events came since it was set."""
        self._next_page = 0
        self._pages: list[int] = []
        self._heap: list[tuple[int, str, int]] | None = []

    def __getstate__(self) -> tuple[Any, ...]:
        return self.watermark, self.waiting, self.busy, self._next_page, self._pages

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.watermark, self.waiting, self.busy, self._next_page, self._pages = state
        self._heap = None

    def add(self, objects: LiveObjects, context: Any, entry: str, due: int) -> None:
        """`entry` is unique among those that are not due yet."""
        heap = self._ordered(objects, context)
        page = self._page(objects, context, self._pages[-1]) if self._pages else None
        if page is None or len(page) >= PAGE:
            self._pages.append(self._next_page)
            self._next_page += 1
            page = self._page(objects, context, self._pages[-1])
        page[entry] = due
        heappush(heap, (due, entry, self._pages[-1]))

    def take_due(self, objects: LiveObjects, context: Any, until: int | None) -> list[str]:
        """Takes out what is due at `until` or before (all, with None), in the order of (due, entry)."""
        heap, taken = self._ordered(objects, context), []
        while heap and (until is None or heap[0][0] <= until):
            _, entry, number = heappop(heap)
            page = self._page(objects, context, number)
            del page[entry]
            if not page:
                self._pages.remove(number)
                objects.delete(context, f"page/{number}")
            taken.append(entry)
        return taken

    def _page(self, objects: LiveObjects, context: Any, number: int) -> Page:
        return objects.get(context, f"page/{number}", dict)

    def _ordered(self, objects: LiveObjects, context: Any) -> list[tuple[int, str, int]]:
        if self._heap is None:
            self._heap = [
                (due, entry, number)
                for number in self._pages
                for entry, due in self._page(objects, context, number).items()
            ]
            heapify(self._heap)
        return self._heap
