"""The base class of functions: one handler per named input, the same code under every runtime.

    class Risk(StreamFunction):
        def setup(self, context):
            self.model = ...

        @on("readings")
        def predict(self, event: dict, context) -> dict | None:
            return {"machine_id": event["machine_id"], "risk": self.model.predict(event)}

It is a standard `pulsar.Function`. Under our runtime `process` takes a decoded record and returns one. Under the
stock Python runtime it takes bytes, decodes them with the packaged schemas and publishes the encoded output itself,
with key and event time; an event of another schema version than the packaged one is then an error.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pulsar

from pulsar_pipeline.errors import DataError, InstanceError, PackageError
from pulsar_pipeline.names import parse_topic
from pulsar_pipeline.online.codecs import Codecs
from pulsar_pipeline.online.context import RESERVED_KEY, event_key, event_time_ms, user_config
from pulsar_pipeline.package.manifest import FILE_NAME, Manifest

Record = dict[str, Any]
Handler = Callable[[Record, Any], Record | None]
Method = TypeVar("Method", bound=Callable[..., Any])

_MARK = "_pulsar_pipeline_inputs"


def on(*inputs: str) -> Callable[[Method], Method]:
    """Marks a method `(self, event, context) -> record | None` as the handler of the named inputs."""

    def mark(method: Method) -> Method:
        setattr(method, _MARK, inputs)
        return method

    return mark


class StreamFunction(pulsar.Function):  # type: ignore[misc]  # the client library has no types
    """Subclass it, mark handlers with `on`; construct without arguments.

    State that shall survive is in `Models` or the context's; what is on the instance lives as long as its process. An
    instance serves one process, which may own several partitions, and is called from one thread at a time.
    """

    handlers: ClassVar[Mapping[str, str]] = {}
    """Input name → name of the method that handles it."""

    __home: _Home
    __by_topic: dict[str, Handler]
    __inputs: dict[str, str]
    __prepared: bool

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.handlers = _collect(cls)

    def __new__(cls, *_args: Any, **_options: Any) -> StreamFunction:
        # Here and not in __init__, so that a subclass need not call super().__init__().
        function: StreamFunction = super().__new__(cls)
        function.__home = _Home(_package_root(cls))
        function.__by_topic = {}
        function.__inputs = {}
        function.__prepared = False
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

    def process(self, input: Any, context: Any) -> Record | None:
        """One event: a decoded record (our runtime, tests), or its Avro bytes (stock runtime; returns None).

        Raises what the handler raises, DataError for an undecodable event or an unfit output, InstanceError for an
        event of a topic that is no input.
        """
        topic = context.get_current_message_topic_name()
        handler = self.__by_topic.get(topic)
        if handler is None:
            handler = self.__connect(topic, context)
        if isinstance(input, dict):
            return handler(input, context)
        self.__process_payload(handler, self.__inputs[topic], input, context)
        return None

    def __connect(self, topic: str, context: Any) -> Handler:
        self.prepare(context)
        name = _input_name(topic, context)
        method = self.handlers.get(name)
        if method is None:
            raise InstanceError(
                f"an event of topic {topic}, which is input {name!r}, that {type(self).__name__} does not handle",
                mend=f"its inputs are {', '.join(sorted(self.handlers))}",
            )
        handler: Handler = getattr(self, method)
        self.__by_topic[topic], self.__inputs[topic] = handler, name
        return handler

    def __process_payload(self, handler: Handler, name: str, payload: Any, context: Any) -> None:
        codecs = self.__home.codecs()
        output = handler(codecs.decode_event(name, _bytes(payload)), context)
        if output is None:
            return
        conf: dict[str, Any] = {}
        key, time_ms = codecs.key_of(output, event_key(context)), event_time_ms(context)
        if key is not None:
            conf["partition_key"] = key
        if time_ms is not None:
            conf["event_timestamp"] = time_ms
        context.publish(context.get_output_topic(), codecs.encode_output(output), message_conf=conf)


def check_handlers(cls: type[StreamFunction], inputs: Collection[str]) -> None:
    """Every input has a handler and every handler an input. Raises PackageError."""
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


class _Home:
    """The package a class was loaded from, if any; its schemas are read at first need."""

    def __init__(self, root: Path | None) -> None:
        self._root = root
        self.manifest = Manifest.load(root) if root and (root / FILE_NAME).is_file() else None
        self._codecs: Codecs | None = None

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
            for name in getattr(value, _MARK, ()):
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
