"""Keeps a cluster's views up to date: per view one thread that writes, one that watches the topic's partitions, and one
per partition that reads. What all partitions of a view have read meanwhile goes into one transaction."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import pulsar

from pulsar_pipeline.clock import Clock
from pulsar_pipeline.cluster.http import AdminHttp
from pulsar_pipeline.errors import ClusterError, TokenError, ViewUnavailable
from pulsar_pipeline.schemas.codec import Decoder
from pulsar_pipeline.schemas.wire import writer_lookup
from pulsar_pipeline.view.layout import view_folder
from pulsar_pipeline.view.models import ServedView
from pulsar_pipeline.view.store import Item, ViewWriter
from pulsar_pipeline.view.tail import PartitionTail, Stopping

TRANSACTION = 5000
"""Items in one transaction, about; more wait for the next."""

WAITING = 20
"""Batches that may wait for the writer before its tails wait too."""

WATCH_S = 15.0
"""How often the partition count is looked at; until the topic exists, and after errors, every second."""

HOUSEKEEPING_S = 10.0
TAKE_OVER_S = 10.0
"""How long to wait for a former materialiser that is just ending."""

_log = logging.getLogger(__name__)


class ViewMaterialiser:
    """One view. `stop` ends it from outside; a failure of its own sets `stop` too and is kept in `failure`."""

    def __init__(
        self,
        view: ServedView,
        folder: Path,
        *,
        client: pulsar.Client,
        admin: AdminHttp,
        clock: Clock,
        stop: threading.Event,
    ) -> None:
        """Opens the store. Raises ViewUnavailable when another process writes it or it cannot be used."""
        self.view = view
        self.failure: BaseException | None = None
        self._client, self._admin, self._clock, self._stop = client, admin, clock, stop
        self._queue: queue.Queue[list[Item]] = queue.Queue(WAITING)
        self._store = ViewWriter(
            view_folder(folder, admin.name, view.tenant, view.name),
            cluster=admin.name,
            topic=str(view.topic),
            wait_s=TAKE_OVER_S,
        )
        self._store_lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._tailed = 0

    def start(self) -> None:
        self._thread(self._write, "write")
        self._thread(self._watch, "watch")

    def join(self) -> None:
        """Wait for the end after `stop` was set, then close the store."""
        for thread in self._threads:
            thread.join()
        self._store.close()

    def _thread(self, body: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=self._guard, args=(body,), name=f"{self.view} {name}")
        self._threads.append(thread)
        thread.start()

    def _guard(self, body: Callable[[], None]) -> None:
        try:
            body()
        except BaseException as error:  # noqa: BLE001 - the thread's edge: the process ends and is started again
            self.failure = error
            self._stop.set()

    def _write(self) -> None:
        next_housekeeping = self._clock.monotonic() + HOUSEKEEPING_S
        while not self._stop.is_set():
            try:
                items = self._queue.get(timeout=0.2)
            except queue.Empty:
                continue
            items = list(items)
            while len(items) < TRANSACTION and not self._queue.empty():
                items += self._queue.get_nowait()
            with self._store_lock:
                self._store.apply(items)
            if self._clock.monotonic() >= next_housekeeping:
                next_housekeeping += HOUSEKEEPING_S
                self._store.release_dead_readers()

    def _hand(self, items: list[Item]) -> None:
        while True:
            try:
                return self._queue.put(items, timeout=0.2)
            except queue.Full:
                if self._stop.is_set():
                    raise Stopping from None

    def _watch(self) -> None:
        told = False
        while not self._stop.is_set():
            try:
                count = self._count_partitions()
            except (ClusterError, TokenError) as error:
                if not told:
                    _log.warning("%s: %s has no partitions to read yet: %s", self.view, self.view.topic, error)
                    told = True
                self._stop.wait(1.0)
                continue
            self._tail_up_to(count)
            self._stop.wait(WATCH_S)

    def _count_partitions(self) -> int:
        """Raises ClusterError while there is no such topic, or no answer."""
        found = self._admin.get(f"/admin/v2/persistent/{self.view.topic.path}/partitions")
        if not found["partitions"]:
            raise ClusterError("the topic does not exist, or is not partitioned", where=f"cluster {self._admin.name}")
        return int(found["partitions"])

    def _tail_up_to(self, count: int) -> None:
        if count <= self._tailed:
            return
        with self._store_lock:
            self._store.set_partitions(count, self._clock.now_ms())
        for partition in range(self._tailed, count):
            tail = PartitionTail(
                self._client,
                self._admin,
                self.view.topic,
                partition,
                start=self._store.partition(partition).state.position,
                decode=Decoder(None, writer_lookup(self._client, str(self.view.topic))),
                hand=self._hand,
                clock=self._clock,
                stop=self._stop,
            )
            self._thread(tail.run, f"partition {partition}")
        _log.info("%s: reading %d partitions of %s", self.view, count, self.view.topic)
        self._tailed = count


def materialise(
    views: Iterable[ServedView],
    folder: Path,
    *,
    client: pulsar.Client,
    admin: AdminHttp,
    clock: Clock,
    stop: threading.Event,
) -> None:
    """Keep the views up to date until `stop` is set. Blocks.

    A view whose store cannot be opened is left out, with an error in the log, and does not hold up the others. Raises
    ViewUnavailable when that is every view's case, and whatever ended a view's threads; all others end with it. A view
    starts again exactly where its last committed transaction left it.
    """
    running: list[ViewMaterialiser] = []
    refused: ViewUnavailable | None = None
    try:
        for view in views:
            try:
                running.append(ViewMaterialiser(view, folder, client=client, admin=admin, clock=clock, stop=stop))
            except ViewUnavailable as error:
                refused = error
                _log.error("%s is not kept up to date: %s", view, error)
        if refused is not None and not running:
            raise refused
        for materialiser in running:
            materialiser.start()
        stop.wait()
    finally:
        stop.set()
        for materialiser in running:
            materialiser.join()
    for materialiser in running:
        if materialiser.failure is not None:
            raise materialiser.failure
