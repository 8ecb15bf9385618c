"""Bugs that fault tests plant into the runtime, each a patch of it."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Sequence
from typing import Any

from pulsar_pipeline.runtime.guarantees import (
    committer,
    outbox,
    owner,
    owner_lane,
    partition_log,
    partition_state,
    recovery,
)
from pulsar_pipeline.runtime.guarantees import keep as promise
from pulsar_pipeline.runtime.processing import context
from pulsar_pipeline.runtime.processing.turn import Turn
from pulsar_pipeline.runtime.transport import courier, sink
from pulsar_pipeline.runtime.transport.outgoing import Outgoing
from pulsar_pipeline.statelog.fold import Fold
from pulsar_pipeline.statelog.lineage import Lineage
from pulsar_pipeline.statelog.records import Writer


def patch(of: Any, name: str, value: Any) -> Any:
    """Put `value` in the place of what is there; gives the original. Fails where nothing is."""
    original = getattr(of, name)
    setattr(of, name, value)
    return original


def ack_before_commit() -> None:
    """Inputs are acknowledged when they have been processed."""

    def reached(self: owner_lane.OwnerLane, turn: Turn, count: int) -> None:
        if count > turn.done:
            acknowledge(turn.messages[count - 1])
        original(self, turn, count)

    def init(self: Any, logs: Any, flush: Any, acknowledge_all: Callable[[Sequence[Any]], None], *args: Any) -> None:
        acknowledging.append(acknowledge_all)
        original_init(self, logs, flush, acknowledge_all, *args)

    def acknowledge(message: Any) -> None:
        acknowledging[0]([message])

    acknowledging: list[Callable[[Sequence[Any]], None]] = []
    original = patch(owner_lane.OwnerLane, "reached", reached)
    original_init = patch(committer.Committer, "__init__", init)


def _recovered(change: Callable[[owner.Owner], None]) -> None:
    def recover(*args: Any) -> owner.Owner:
        found: owner.Owner = original(*args)
        change(found)
        return found

    original = patch(promise, "recover", recover)


def seq_not_restored() -> None:
    """A new owner counts its outputs from one."""

    def change(found: owner.Owner) -> None:
        found.seq = found.tail_seq = 0

    _recovered(change)


def positions_not_restored() -> None:
    """A new owner takes for new whatever was not acknowledged."""

    def change(found: owner.Owner) -> None:
        found.positions.clear()
        found.sequencer._seen.clear()

    _recovered(change)


def state_not_restored() -> None:
    """A new owner begins with no state."""

    def change(found: owner.Owner) -> None:
        found.state = partition_state.PartitionState({})

    _recovered(change)


def order_not_replayed() -> None:
    """A new owner takes events as they come, not in the order that outputs tell of."""

    def change(found: owner.Owner) -> None:
        found.sequencer._recorded.clear()

    _recovered(change)


def runs_not_restored() -> None:
    """A new owner forgets the events between the last output and the commit."""

    def change(found: owner.Owner) -> None:
        found.runs.clear()

    _recovered(change)


def tail_not_read() -> None:
    """A new owner marks its incarnation, but takes the commit's seq for the last output."""

    def tail(client: Any, log: Any, partition: int, output: str, schema: Any, *_: Any) -> list[Any]:
        recovery._mark(client, log, output, schema)
        return []

    patch(recovery, "_tail", tail)


def tail_by_the_commits_incarnation() -> None:
    """A new owner drops outputs from the tail that are older than the commit's writer."""

    def recover(client: Any, log: Any, *args: Any) -> owner.Owner:
        commit = log.fold.commit
        begun = Lineage() if commit is None else Lineage(commit.epoch, commit.incarnation, commit.seq)
        patch(recovery, "Lineage", lambda *_: begun)
        return original(client, log, *args)

    original = patch(promise, "recover", recover)


def no_marker() -> None:
    """A new owner reads the tail to where it ends at the time, and marks nothing."""

    def mark(*_: Any) -> None:
        return None

    def tail(client: Any, log: Any, partition: int, output: str, *_: Any) -> list[Any]:
        return []

    patch(recovery, "_mark", mark)
    patch(recovery, "_tail", tail)


def claim_not_checked() -> None:
    """An owner goes on although another had the claim, and does not look for newer ones."""
    patch(partition_log.PartitionLog, "lost", lambda self: False)
    patch(committer.Committer, "_look", lambda self: None)


def claim_not_won() -> None:
    """An owner takes any claim of its own for won."""

    def won(self: partition_log.PartitionLog, mine: Any) -> bool:
        original(self, mine)
        return True

    original = patch(partition_log.PartitionLog, "_won", won)


def commit_not_read_back() -> None:
    """Inputs are acknowledged when the commit is stored, and nobody looks for newer claims."""
    patch(committer.Committer, "_read_back", lambda self, log, number: log._writer.flush())
    patch(committer.Committer, "_look", lambda self: None)


def commits_of_any_claim() -> None:
    """Readers of the log take every commit for good."""

    def counts(self: Fold, by: Writer) -> bool:
        return True

    patch(Fold, "_counts", counts)


def initial_sequence_id_left_out() -> None:
    """The producers of outputs begin with the client's own first sequence id."""

    class Client:
        def __init__(self, client: Any) -> None:
            self._client = client

        def create_producer(self, topic: str, **options: Any) -> Any:
            return self._client.create_producer(
                topic, **{name: value for name, value in options.items() if name != "initial_sequence_id"}
            )

    def init(self: sink.Sink, client: Any, *args: Any) -> None:
        original(self, Client(client), *args)

    original = patch(sink.Sink, "__init__", init)


def outputs_not_flushed() -> None:
    """A commit is sent before the outputs it tells of are stored."""
    patch(committer.Committer, "__init__", _without_flush(committer.Committer.__init__))


def _without_flush(original: Callable[..., None]) -> Callable[..., None]:
    def init(self: Any, logs: Any, flush: Any, *args: Any) -> None:
        original(self, logs, lambda: None, *args)

    return init


# of messages for other topics


def published_before_the_commit() -> None:
    """A message is sent when its event is done, and once more with the commit."""

    def publish(self: owner_lane.OwnerLane, message: Outgoing) -> None:
        original(self, message)
        number, _ = self.outbox._unsent[-1]
        while not self._courier._is_open(message.topic):
            time.sleep(0.1)
        producer = self._courier._producers[self._courier._partition_of(number, message)]
        producer.send_async(message.payload, None, sequence_id=number, **message.options)

    original = patch(owner_lane.OwnerLane, "publish", publish)


def numbers_not_restored() -> None:
    """A new owner numbers what it publishes from one."""

    def init(self: outbox.Outbox, state: Any) -> None:
        original(self, state)
        self._next = 1

    original = patch(outbox.Outbox, "__init__", init)


def forgotten_before_stored() -> None:
    """What a commit releases is not kept with it."""

    def take(self: outbox.Outbox) -> Any:
        released = original(self)
        while self._kept:
            self._state.drop(f"{outbox.SPACE}{self._kept.popleft()}")
        return released

    original = patch(outbox.Outbox, "take", take)


def producer_name_not_fixed() -> None:
    """Each owner publishes under a name of its own."""

    def init(self: courier.Courier, client: Any, name: str, *args: Any) -> None:
        original(self, client, f"{name}{os.urandom(4).hex()}", *args)

    original = patch(courier.Courier, "__init__", init)


def partition_by_chance() -> None:
    """A message that is sent again may go to another partition."""
    patch(
        courier.Courier,
        "_partition_of",
        lambda self, number, message: random.SystemRandom().choice(self._partitions[message.topic]),
    )


def dead_letters_past_the_outbox() -> None:
    """An event is set aside at once."""

    def publish(self: owner_lane.OwnerLane, message: Outgoing) -> None:
        if "reason" not in message.options.get("properties", {}):
            original(self, message)
            return
        if message.topic not in producers:
            producers[message.topic] = self._courier._client.create_producer(message.topic)
        producers[message.topic].send_async(message.payload, None, **message.options)

    producers: dict[str, Any] = {}
    original = patch(owner_lane.OwnerLane, "publish", publish)


def not_taken_back() -> None:
    """What an event publishes goes out, even if it fails then."""

    def publish(self: context.FunctionContext, *args: Any, **options: Any) -> None:
        original(self, *args, **options)
        self._lane.publish(self.effects._messages.pop())

    original = patch(context.FunctionContext, "publish", publish)


BUGS: dict[str, Callable[[], None]] = {
    bug.__name__.replace("_", " "): bug
    for bug in (
        ack_before_commit,
        seq_not_restored,
        positions_not_restored,
        state_not_restored,
        order_not_replayed,
        runs_not_restored,
        tail_not_read,
        tail_by_the_commits_incarnation,
        no_marker,
        claim_not_checked,
        claim_not_won,
        commit_not_read_back,
        commits_of_any_claim,
        initial_sequence_id_left_out,
        outputs_not_flushed,
        published_before_the_commit,
        numbers_not_restored,
        forgotten_before_stored,
        producer_name_not_fixed,
        partition_by_chance,
        dead_letters_past_the_outbox,
        not_taken_back,
    )
}
