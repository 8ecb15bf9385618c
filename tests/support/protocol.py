"""A model of the exactly-once protocol: the log and the output topic in memory, owners that can stop at any step.

The fold, the rule for outputs, runs and records are the product's; what an owner does is written down here as the
protocol has it, so that a history of pauses, crashes and late sends can be tried by the thousand. An owner is two
threads (its loop, and a committer while a commit is under way), each a generator that goes one step at a time. What it
sends waits in its buffers until it is delivered, in order per topic, even if the owner has been replaced meanwhile.

`bugs` names what an owner or view shall do wrong; see BUGS.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator

from pulsar_pipeline.statelog.fold import Fed, Fold
from pulsar_pipeline.statelog.lineage import Lineage, Verdict, judge
from pulsar_pipeline.statelog.records import Chunk, Claim, Commit, Entry, Position, Record
from pulsar_pipeline.statelog.runs import Runs, expand
from pulsar_pipeline.statelog.stamp import Marker, Stamp

EVENTS = (5, 3)
"""How many events each input has."""

BUGS = {
    "ack before commit": "inputs are acknowledged when the commit begins",
    "seq not restored": "a new owner counts its outputs from one",
    "tail not read": "a new owner takes the commit's seq for the last output",
    "claim not checked": "an owner goes on although another had the first claim",
    "commits of any claim": "readers of the log take every commit for good",
    "commit not read back": "inputs are acknowledged when the commit is stored",
    "commit read back by its number": "inputs are acknowledged when anybody's commit of that number has been read",
    "marker ignored by the view": "a view notices a new incarnation by its first output only",
    "outputs not flushed": "a commit is sent before the outputs it tells of are stored",
    "order not replayed": "a new owner takes events as they come, not in the order of the outputs that exist",
    "tail by the commit's incarnation": "a new owner drops outputs older than the commit's writer from the tail",
}

State = dict[str, bytes]


class Violation(AssertionError):
    """The protocol has not held what it promises."""


def step(state: State, event: str) -> list[str]:
    """The function: its state and outputs depend on all events and their order. None to two outputs an event."""
    state["history"] = state.get("history", b"") + event.encode()
    state[event[0]] = event.encode()
    if event[0] == "b":
        state.pop("a", None)
    return [f"{state['history'].decode()}#{number}" for number in range((1, 2, 0, 1)[int(event[1]) % 4])]


def event(index: int, number: int) -> str:
    return f"{'ab'[index]}{number}"


def serial(order: list[int]) -> tuple[State, list[str], list[int]]:
    """State, outputs and events per input of a run without any fault that takes the inputs in this order."""
    state: State = {}
    outputs: list[str] = []
    taken = [0] * len(EVENTS)
    for index in order:
        outputs += step(state, event(index, taken[index]))
        taken[index] += 1
    return state, outputs, taken


class LaxFold(Fold):
    """With the bug that claims do not matter to commits."""

    def _counts(self, by):
        return True


class World:
    """What is stored: the state log, the output topic, what the inputs' subscription has acknowledged."""

    def __init__(self, bugs: frozenset[str] = frozenset()) -> None:
        self.bugs = bugs
        self.log: list[Record] = []
        self.output: list[tuple[Stamp | Marker, str]] = []
        self.acknowledged = [0] * len(EVENTS)
        self.owners: list[Owner] = []

    def fold(self) -> Fold:
        return LaxFold() if "commits of any claim" in self.bugs else Fold()

    def start(self) -> Owner:
        self.owners.append(Owner(self, f"n{len(self.owners)}"))
        return self.owners[-1]

    def find_start(self) -> int:
        checkpoint = self.log[-1].checkpoint if self.log else None
        return int(checkpoint) if checkpoint is not None else 0

    def view(self) -> Iterator[tuple[Stamp, str]]:
        """The outputs that a view takes."""
        lineage = Lineage()
        for message, value in self.output:
            if "marker ignored by the view" in self.bugs:
                if isinstance(message, Marker):
                    continue
                if message[:2] > lineage[:2]:
                    lineage = Lineage(*message[:2], lineage.seq)
            verdict, lineage = judge(lineage, message)
            if verdict is Verdict.GAP:
                raise Violation(f"outputs are missing before {message}")
            if verdict is Verdict.TAKE:
                yield message, value

    def check(self) -> None:
        """Raises Violation where the view or the committed state is not that of a serial run."""
        taken = list(self.view())
        order = [index for stamp, _ in taken for index in expand(stamp.runs)]
        _, outputs, _ = serial(order)
        same([value for _, value in taken], outputs[: len(taken)], "the view's outputs")
        for start in {0, self.find_start()}:
            fold = self.fold()
            for at, record in enumerate(self.log[start:], start):
                fold.feed(record, b"%d" % at)
            commit = fold.commit
            if commit is None:
                continue
            same(len(taken) >= commit.seq, True, "outputs of the commit are stored")
            order = [index for stamp, _ in taken[: commit.seq] for index in expand(stamp.runs)]
            state, outputs, events = serial(order + list(expand(commit.runs)))
            same(fold.state, state, "the committed state")
            same(commit.seq, len(outputs), "the committed seq")
            same([commit.positions["ab"[index]].entry + 1 for index in range(len(EVENTS))], events, "the positions")

    def check_complete(self) -> None:
        """Raises Violation where, at the end, an event is missing from the view or from the state."""
        self.check()
        fold = self.fold()
        for at, record in enumerate(self.log):
            fold.feed(record, b"%d" % at)
        taken = list(self.view())
        same(fold.commit is not None and len(taken) == fold.commit.seq, True, "everything is committed")
        order = [index for stamp, _ in taken for index in expand(stamp.runs)] + list(expand(fold.commit.runs))
        same(tuple(serial(order)[2]), EVENTS, "every event has its effect")


def same(found: object, wanted: object, what: str) -> None:
    if found != wanted:
        raise Violation(f"{what}: {found!r}, and not {wanted!r}")


class Owner:
    """One owner of the partition. `ended` once it has found out that it was replaced, or was crashed."""

    def __init__(self, world: World, nonce: str) -> None:
        self.world, self.nonce, self.bugs = world, nonce, world.bugs
        self.outputs: deque[tuple[Stamp | Marker, str]] = deque()
        self.records: deque[Record] = deque()
        self.ended = False
        self.idle = False
        """Nothing left to do: all events processed and committed."""
        self._stored_outputs: list[int] = []
        self._sent_outputs = 0
        self._fold = world.fold()
        self._at = 0
        self._loop = self._run()
        self._committer: Generator[None, int, None] | None = None
        next(self._loop)

    def advance(self, choice: int) -> None:
        """One step of the loop, or of the committer; `choice` decides which, and what comes next in it."""
        which, choice = choice % 2, choice // 2
        try:
            if self.ended:
                return
            if self._committer is not None and which:
                self._committer.send(choice)
            else:
                self._loop.send(choice)
        except StopIteration:
            self._committer = None

    def deliver(self, outputs: int = 1000, records: int = 1000) -> None:
        """Let so much of what was sent arrive."""
        for _ in range(min(outputs, len(self.outputs))):
            self._stored_outputs.append(len(self.world.output))
            self.world.output.append(self.outputs.popleft())
        for _ in range(min(records, len(self.records))):
            self.world.log.append(self.records.popleft())

    def crash(self) -> None:
        """What has not been delivered by now is lost."""
        self.ended = True
        self.outputs.clear()
        self.records.clear()

    # the loop

    def _run(self) -> Generator[None, int, None]:
        yield
        delivered_from = list(self.world.acknowledged)  # what an Exclusive consumer is given from here on
        self._at = self.world.find_start()
        yield from self._claim()
        commit = self._fold.commit
        self.state = dict(self._fold.state)
        self.number = commit.number if commit else 0
        self.runs = Runs(commit.runs if commit else "")
        self.positions = [commit.positions[name].entry if commit else -1 for name in "ab"]
        self.seq = commit.seq if commit and "seq not restored" not in self.bugs else 0
        self.outputs_from = int(commit.outputs_from) if commit and commit.outputs_from else None
        self.first_output: int | None = None
        self._send_output(Marker(1, self.incarnation, self.nonce), "")
        yield from self._flush(self._sent_outputs)
        tail = [] if "tail not read" in self.bugs else self._tail(commit)
        self.tail_seq = tail[-1].seq if tail else self.seq
        recorded = deque(index for stamp in tail for index in expand(stamp.runs))
        for _ in expand(commit.runs if commit else ""):
            if recorded:
                recorded.popleft()
        if "order not replayed" in self.bugs:
            recorded.clear()
        dirty = False
        while True:
            choice = yield
            left = [index for index in range(len(EVENTS)) if self.positions[index] + 1 < EVENTS[index]]
            self.idle = not left and not dirty and self._committer is None
            if dirty and self._committer is None and (choice % 4 == 0 or not left):
                self._committer = self._commit(checkpoint=choice // 4 % 2 == 1)
                next(self._committer)
                dirty = False
            elif left:
                index = recorded.popleft() if recorded else left[choice // 4 % len(left)]
                self._process(index, delivered_from[index])
                dirty = True

    def _claim(self) -> Generator[None, int, None]:
        while True:
            self._read()
            claim = self._fold.claim
            self.incarnation = claim.incarnation + 1 if claim else 1
            mine = Claim(1, self.incarnation, self.nonce, "model", self._fold.checkpoint)
            self.records.append(mine)
            won = None
            while won is None:
                yield
                won = self._read(mine)
            if won or "claim not checked" in self.bugs:
                return

    def _tail(self, commit: Commit | None) -> list[Stamp]:
        """Stamps of the outputs beyond the commit, up to one's own marker."""
        messages = [message for message, _ in self.world.output[self.outputs_from or 0 :]]
        # the message that the commit names, or the first there ever was, is of the newest incarnation at its place
        lineage = Lineage(*messages[0][:2], commit.seq if commit else 0)
        if commit and "tail by the commit's incarnation" in self.bugs:
            lineage = Lineage(commit.epoch, commit.incarnation, commit.seq)
        tail = []
        for message in messages:
            verdict, lineage = judge(lineage, message)
            if verdict is Verdict.GAP:
                raise Violation(f"the tail has a gap before {message}")
            if verdict is Verdict.TAKE:
                tail.append(message)
            if message == Marker(1, self.incarnation, self.nonce):
                break
        return tail

    def _process(self, index: int, delivered_from: int) -> None:
        number = max(self.positions[index] + 1, delivered_from)  # what was acknowledged does not come again
        if number >= EVENTS[index]:
            raise Violation(f"event {event(index, self.positions[index] + 1)} never comes again")
        self.positions[index] = number
        self.runs.add(index)
        for value in step(self.state, event(index, number)):
            self.seq += 1
            stamp = Stamp(1, self.incarnation, self.seq, self.runs.text())
            self.runs.clear()
            if self.seq > self.tail_seq:
                if self.first_output is None:
                    self.first_output = self._sent_outputs
                self._send_output(stamp, value)

    def _send_output(self, message: Stamp | Marker, value: str) -> None:
        self.outputs.append((message, value))
        self._sent_outputs += 1

    def _flush(self, count: int) -> Generator[None, int, None]:
        """Until so many of the outputs are stored."""
        while len(self._stored_outputs) < count:
            yield

    # the committer

    def _commit(self, *, checkpoint: bool) -> Generator[None, int, None]:
        self.number += 1
        number, seq, runs, state = self.number, self.seq, self.runs.text(), dict(self.state)
        positions, first, sent = list(self.positions), self.first_output, self._sent_outputs
        self.first_output = None
        changes = {**dict.fromkeys(self._fold.state), **state}
        if "ack before commit" in self.bugs:
            self._acknowledge(positions)
        yield
        if "outputs not flushed" not in self.bugs:
            yield from self._flush(sent)
            if first is not None:
                self.outputs_from = self._stored_outputs[first]
        commit = Commit(
            *(1, self.incarnation, self.nonce),
            number=number,
            parts=0,
            positions={"ab"[index]: Position(0, at, -1) for index, at in enumerate(positions)},
            seq=seq,
            runs=runs,
            outputs_from=b"%d" % self.outputs_from if self.outputs_from is not None else None,
            entries=tuple(Entry(*each) for each in changes.items()),
            checkpoint=self._fold.checkpoint,
            at_ms=0,
        )
        self.records.append(commit)
        if checkpoint:
            for index in range(2):
                base = commit if index == 0 else None
                entries = tuple(Entry(*each) for each in list(state.items())[index::2])
                written = (1, self.incarnation, self.nonce)
                self.records.append(Chunk(*written, f"{number}", index, 2, base, entries, self._fold.checkpoint))
        yield
        if "commit not read back" in self.bugs:
            while self.records:
                yield
        else:
            while not self._read_back(number):
                yield
        self._acknowledge(positions)

    def _read_back(self, number: int) -> bool:
        """Whether the own commit counts. Ends the owner where another has the claim."""
        self._read()
        if self._fold.number < number or self._fold.commit is None:
            found = False
        else:
            found = self._fold.commit.nonce == self.nonce or "commit read back by its number" in self.bugs
        replaced = self._fold.claim is not None and self._fold.claim.nonce != self.nonce
        if replaced and not found and "claim not checked" not in self.bugs:
            self.ended = True
        return found

    def _acknowledge(self, positions: list[int]) -> None:
        for index, at in enumerate(positions):
            self.world.acknowledged[index] = max(self.world.acknowledged[index], at + 1)

    def _read(self, mine: Claim | None = None) -> bool | None:
        """Read the log on; whether the claim `mine`, if it was among what was read, has won."""
        won = None
        while self._at < len(self.world.log):
            record = self.world.log[self._at]
            fed = self._fold.feed(record, b"%d" % self._at)
            self._at += 1
            if mine is not None and record == mine:
                won = fed is Fed.CLAIM_WON
        return won
