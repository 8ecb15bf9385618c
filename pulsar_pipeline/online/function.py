"""The base class of functions: one handler per named input, the same code under every runtime.

    class Risk(StreamFunction):
        def setup(self, context):
            self.model = ...

        @on("readings")
        def predict(self, event: dict, context) -> dict | None:
            return {"machine_id": event["machine_id"], "risk": self.model.predict(event)}

A handler answers with nothing, one output, or a list of them (`online/answers.py`). It may be `async def`, or take a
micro-batch of events at once (`on_many`); the handlers of a class are all of one kind.

It is a standard `pulsar.Function`. Under our runtime `process` takes a decoded record and returns the handler's answer.
Under the stock Python runtime it takes bytes, decodes them with the packaged schemas and publishes the encoded outputs
itself (`online/stock.py`), with key and event time; an event of another schema version than the packaged one is then an
error.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pulsar

from pulsar_pipeline.errors import DataError, InstanceError, PackageError
from pulsar_pipeline.names import parse_topic
from pulsar_pipeline.online.answers import Answer, Answers, answers_of, key_of
from pulsar_pipeline.online.checkpoint import FILE_NAME as CHECKPOINT
from pulsar_pipeline.online.codecs import Codecs
from pulsar_pipeline.online.context import RESERVED_KEY, event_key, event_time_ms, user_config
from pulsar_pipeline.online.coroutines import CoroutineRunner
from pulsar_pipeline.online.stock import OutputMessage, StockContext
from pulsar_pipeline.package.manifest import FILE_NAME, Manifest

Record = dict[str, Any]
Handler = Callable[[Record, Any], Any]
"""Gives `Answers`, or a coroutine of them."""
Method = TypeVar("Method", bound=Callable[..., Any])

_INPUTS = "_pulsar_pipeline_inputs"
_MANY = "_pulsar_pipeline_many"


def on(*inputs: str) -> Callable[[Method], Method]:
    """Marks a method `(self, event, context) -> answer` as the handler of the named inputs. It may be `async def`."""

    def mark(method: Method) -> Method:
        setattr(method, _INPUTS, inputs)
        return method

    return mark


def on_many(*inputs: str) -> Callable[[Method], Method]:
    """Marks a method `(self, events, context) -> list of answers` as the handler of micro-batches of the named inputs.

    `events` are consecutive events of one input in one partition, at least one; the answers are as many, each as a
    handler of one event gives it. None instead of the list: no outputs. `context.get_message_keys()` and
    `context.get_message_eventtimes()` tell of each event.
    """

    def mark(method: Method) -> Method:
        setattr(method, _INPUTS, inputs)
        setattr(method, _MANY, True)
        return method

    return mark


def is_async(function: Any) -> bool:
    """Whether `function.process` gives a coroutine. For every `pulsar.Function`."""
    if inspect.iscoroutinefunction(function.process):
        return True
    return isinstance(function, StreamFunction) and "async" in _kinds(type(function)).values()


class StreamFunction(pulsar.Function):  # type: ignore[misc]  # the client library has no types
    """Subclass it, mark handlers with `on`; construct without arguments.

    State that shall survive is in `Models` or the context's; what is on the instance lives as long as its process. An
    instance serves one process, which may own several partitions, and is called from one thread at a time.
    """

    handlers: ClassVar[Mapping[str, str]] = {}
    """Input name → name of the method that handles it."""

    transient: ClassVar[tuple[type[BaseException], ...]] = ()
    """Errors after which an event is tried again, as after a TransientError."""

    __home: _Home
    __by_topic: dict[str, Handler]
    __inputs: dict[str, str]
    __prepared: bool
    __coroutines: CoroutineRunner
    __stock: StockContext | None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.handlers = _collect(cls)
        if "micro-batch" in _kinds(cls).values() and not hasattr(cls, "process_many"):
            cls.process_many = _process_many  # runtimes look whether it is there

    def __new__(cls, *_args: Any, **_options: Any) -> StreamFunction:
        # Here and not in __init__, so that a subclass need not call super().__init__().
        function: StreamFunction = super().__new__(cls)
        function.__home = _Home(_package_root(cls))
        function.__by_topic = {}
        function.__inputs = {}
        function.__prepared = False
        function.__coroutines = CoroutineRunner()
        function.__stock = None
        manifest = function.__home.manifest
        check_handlers(cls, manifest.inputs if manifest else cls.handlers)
        return function

    def setup(self, context: Any) -> None:
        """Runs once, before the first event; the place for models that need the config."""

    def prepare(self, context: Any) -> None:
        """Runs `setup` if it has not run; a runtime calls it at start, so that a failure shows before any event."""
        if not self.__prepared:
            self.setup(context)
            self.__prepared = True

    def config(self, context: Any) -> Record:
        """The deployment's config merged over the package's defaults."""
        manifest = self.__home.manifest
        return user_config(context, manifest.config if manifest else {})

    def process(self, input: Any, context: Any) -> Any:
        """One event: a decoded record (our runtime, tests), or its Avro bytes (stock runtime).

        Gives what the handler answered, a coroutine of it where the handler is async; of bytes None, for the outputs
        are published then. Raises what the handler raises, DataError for an undecodable event or an unfit output,
        InstanceError for an event of a topic that is no input.
        """
        if not isinstance(input, dict):
            self.__process_payload(input, context)
            return None
        topic = context.get_current_message_topic_name()
        handler = self.__by_topic.get(topic)
        if handler is None:
            handler = self.__connect(topic, context)
        return handler(input, context)

    def handler(self, name: str) -> Handler:
        """What takes the decoded events of an input, one by one: `process` without its look at the topic, for a runtime
        that knows the input and has called `prepare`."""
        method = getattr(self, self.handlers[name])
        many = _kind(type(self), self.handlers[name]) == "micro-batch"
        return _one_by_one(method) if many else method

    def _handler_of(self, topic: str, context: Any) -> Callable[..., Any]:
        """The marked method for a topic's events."""
        if topic not in self.__inputs:
            self.__connect(topic, context)
        method: Callable[..., Any] = getattr(self, self.handlers[self.__inputs[topic]])
        return method

    def __connect(self, topic: str, context: Any) -> Handler:
        self.prepare(context)
        name = _input_name(topic, context)
        if name not in self.handlers:
            raise InstanceError(
                f"an event of topic {topic}, which is input {name!r}, that {type(self).__name__} does not handle",
                mend=f"its inputs are {', '.join(sorted(self.handlers))}",
            )
        handler = self.__by_topic[topic] = self.handler(name)
        self.__inputs[topic] = name
        return handler

    def __process_payload(self, payload: Any, context: Any) -> None:
        codecs = self.__home.codecs()
        stock = self.__stock
        if stock is None or not stock.is_of(context):
            stock = self.__stock = StockContext(context, codecs.output, self.__home.checkpoint)
        topic = stock.get_current_message_topic_name()
        handler = self.__by_topic.get(topic) or self.__connect(topic, stock)
        event = codecs.decode_event(self.__inputs[topic], _bytes(payload))
        with stock.event():
            returned = self.__coroutines.finished(handler(event, stock))
            stock.answer([_message(each, codecs, stock) for each in answers_of(returned)])


def _process_many(self: StreamFunction, records: list[Record], context: Any) -> list[Answers]:
    """A micro-batch: records of one input in one partition → an answer for each, in their order.

    Raises what the handler raises, DataError when its answers are not as many as the events.
    """
    handler = self._handler_of(context.get_current_message_topic_name(), context)
    return _as_many(handler(records, context), len(records), handler)


def _as_many(returned: Any, events: int, handler: Callable[..., Any]) -> list[Answers]:
    if returned is None:
        return [None] * events
    if not isinstance(returned, list | tuple) or len(returned) != events:
        what = f"{len(returned)} answers" if isinstance(returned, list | tuple) else type(returned).__name__
        raise DataError(
            f"{handler.__name__} gave {what} to {events} events", mend="a micro-batch has an answer for each event"
        )
    return list(returned)


def _one_by_one(method: Callable[..., Any]) -> Handler:
    """A micro-batch handler as one for single events."""

    def handle(event: Record, context: Any) -> Answers:
        [answer] = _as_many(method([event], _OneEvent(context)), 1, method)
        return answer

    return handle


class _OneEvent:
    """The context of an event, as of a micro-batch of it alone."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def get_message_keys(self) -> list[str]:
        return [event_key(self._context) or ""]

    def get_message_eventtimes(self) -> list[int]:
        return [event_time_ms(self._context) or 0]


def _message(answer: Record | Answer, codecs: Codecs, context: Any) -> OutputMessage:
    record, own_time = (answer.record, answer.event_time_ms) if isinstance(answer, Answer) else (answer, None)
    payload = codecs.encode_output(record)  # before the key is asked for: it tells of a field that is missing
    time_ms = event_time_ms(context) if own_time is None else own_time
    return OutputMessage(payload, key_of(answer, codecs.output_key, event_key(context)), time_ms)


def check_handlers(cls: type[StreamFunction], inputs: Collection[str]) -> None:
    """Every input has a handler, every handler an input, and all are of one kind. Raises PackageError."""
    where = f"{cls.__module__}.{cls.__qualname__}"
    if not cls.handlers:
        raise PackageError("the class handles no input", where=where, mend='mark a method with @on("INPUT")')
    missing, unknown = sorted(set(inputs) - set(cls.handlers)), sorted(set(cls.handlers) - set(inputs))
    if missing:
        raise PackageError(
            f"no handler for input {', '.join(missing)}", where=where, mend=f'mark a method with @on("{missing[0]}")'
        )
    if unknown:
        raise PackageError(
            f"a handler for {', '.join(unknown)}, which is no input of the function",
            where=where,
            mend=f"the inputs are {', '.join(sorted(inputs))}",
        )
    kinds = _kinds(cls)
    if len(set(kinds.values())) > 1:
        told = ", ".join(f"{name} is {kind}" for name, kind in sorted(kinds.items()))
        raise PackageError(
            f"handlers of different kinds: {told}",
            where=where,
            mend="an instance takes events one by one, in micro-batches, or concurrently: make them of one kind",
        )
    for name, kind in kinds.items():
        if kind == "micro-batch" and inspect.iscoroutinefunction(getattr(cls, name)):
            raise PackageError(
                f"{name} is async and takes micro-batches", where=where, mend='use @on("INPUT") with async def'
            )
    if inspect.iscoroutinefunction(getattr(cls, "on_timer", None)):
        raise PackageError("on_timer is async", where=where, mend="write `def on_timer(self, name, at_ms, context)`")


def _kinds(cls: type[StreamFunction]) -> dict[str, str]:
    """Name of each handler's method → its kind."""
    return {name: _kind(cls, name) for name in cls.handlers.values()}


def _kind(cls: type, name: str) -> str:
    if any(getattr(vars(base).get(name), _MANY, False) for base in cls.__mro__):
        return "micro-batch"
    return "async" if inspect.iscoroutinefunction(getattr(cls, name)) else "plain"


class _Home:
    """The package a class was loaded from, if any; its schemas are read at first need."""

    def __init__(self, root: Path | None) -> None:
        self._root = root
        self.manifest = Manifest.load(root) if root and (root / FILE_NAME).is_file() else None
        self._codecs: Codecs | None = None

    @property
    def checkpoint(self) -> Path | None:
        """The file in the package, where there is one."""
        file = self._root / CHECKPOINT if self._root is not None else None
        return file if file is not None and file.is_file() else None

    def codecs(self) -> Codecs:
        if self._codecs is None:
            if self._root is None or self.manifest is None:
                raise InstanceError(
                    "the event is bytes and there is no manifest beside the function to decode it by",
                    mend="build the function with `pulsar-pipeline functions package`",
                )
            self._codecs = Codecs.of_package(self._root, self.manifest)
        return self._codecs


def _collect(cls: type[StreamFunction]) -> dict[str, str]:
    table: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        own: dict[str, str] = {}
        for attribute, value in vars(base).items():
            for name in getattr(value, _INPUTS, ()):
                if name in own:
                    raise PackageError(
                        f"two handlers for input {name!r}: {own[name]} and {attribute}",
                        where=f"{base.__module__}.{base.__qualname__}",
                        mend="keep one",
                    )
                own[name] = attribute
        table.update(own)
    return table


def _package_root(cls: type) -> Path | None:
    """The folder on the import path from which the class's module came."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    if file is None:
        return None
    path = Path(file).resolve()
    depth = cls.__module__.count(".") + (path.name == "__init__.py")
    return path.parents[depth] if depth < len(path.parents) else None


def _input_name(topic: str, context: Any) -> str:
    """By the deployment's bindings; with none (a unit test) the topic's last part."""
    try:
        wanted, _ = parse_topic(topic)
    except ValueError as error:
        raise InstanceError(str(error)) from error
    bindings = (context.get_user_config_value(RESERVED_KEY) or {}).get("inputs")
    if bindings is None:
        return wanted.topic
    for name, binding in bindings.items():
        if parse_topic(binding["topic"])[0] == wanted:
            return str(name)
    raise InstanceError(
        f"an event of topic {topic}, which is no input of this deployment",
        mend=f"its inputs are {', '.join(sorted(binding['topic'] for binding in bindings.values()))}",
    )


def _bytes(payload: Any) -> bytes:
    match payload:
        case bytes():
            return payload
        case str():  # the stock runtime's IdentitySerDe decodes whatever happens to be UTF-8
            return payload.encode()
        case _:
            raise DataError(
                f"the event came as {type(payload).__name__}, its bytes are lost",
                mend="give the input topics the serde pulsar_pipeline.online.serde.BytesSerDe",
            )
