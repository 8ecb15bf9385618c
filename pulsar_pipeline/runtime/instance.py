"""An instance from start to end: control service first, then the function, its partitions, and the loop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import pulsar
from tenacity import (
    RetryCallState,
    RetryError,
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_when_event_set,
    wait_exponential,
)

from pulsar_pipeline.clock import SystemClock
from pulsar_pipeline.errors import ClusterError, InstanceError, PipelineError
from pulsar_pipeline.names import PARTITION_SUFFIX, parse_topic
from pulsar_pipeline.online.state import MemoryState
from pulsar_pipeline.runtime import loop, secrets
from pulsar_pipeline.runtime.arguments import Arguments
from pulsar_pipeline.runtime.bundle import Bundle, open_bundle
from pulsar_pipeline.runtime.connection import open_client
from pulsar_pipeline.runtime.failures import describe
from pulsar_pipeline.runtime.guarantees.direct_lane import DirectLane
from pulsar_pipeline.runtime.guarantees.keep import keep, state_key
from pulsar_pipeline.runtime.hang import end_hung_instance
from pulsar_pipeline.runtime.logs import LogTopic
from pulsar_pipeline.runtime.processing.context import FunctionContext
from pulsar_pipeline.runtime.processing.late import LateTopic, inputs_of_late
from pulsar_pipeline.runtime.processing.processor import Halted, Output, Steps, Tolerance
from pulsar_pipeline.runtime.processing.way import Function, has_timers, way_of
from pulsar_pipeline.runtime.stop import StopSignal
from pulsar_pipeline.runtime.supervision import orphan
from pulsar_pipeline.runtime.supervision.control import ControlService
from pulsar_pipeline.runtime.supervision.exposition import InstanceCollector, serve_metrics
from pulsar_pipeline.runtime.supervision.health import Health
from pulsar_pipeline.runtime.supervision.stats import Stats
from pulsar_pipeline.runtime.supervision.watchdog import InWork, Watchdog
from pulsar_pipeline.runtime.transport.dead_letters import DeadLetters
from pulsar_pipeline.runtime.transport.decoding import FunctionSchemas, decoders, output_encoder
from pulsar_pipeline.runtime.transport.sink import Sink
from pulsar_pipeline.runtime.transport.source import Source, input_partitions
from pulsar_pipeline.schemas.schema import Schema
from pulsar_pipeline.schemas.wire import wire_schema
from pulsar_pipeline.settings import Settings

EXIT_FAILED = 1
"""The instance cannot go on; the worker starts a fresh one."""

_LONGEST_PAUSE_S = 60

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")


class Instance:
    """One run of an instance; `run` returns the process's exit code."""

    def __init__(
        self, arguments: Arguments, settings: Settings, environment: Mapping[str, str], stop: StopSignal
    ) -> None:
        self._arguments = arguments
        self._config = arguments.config
        self._settings = settings
        self._environment = environment
        self._stop = stop
        self._stats = Stats(SystemClock())
        self._health = Health()
        self._in_work = InWork()
        self._control = ControlService(arguments.instance_id, self._stats, self._health)
        self._partitions = input_partitions(self._config, arguments.details.parallelism, arguments.instance_id)

    def run(self) -> int:
        """Serve until stopped: 0 after a stop, 1 when the instance cannot go on (the worker restarts it)."""
        self._control.start(self._arguments.control_port)
        if self._arguments.metrics_port:
            serve_metrics(self._arguments.metrics_port, InstanceCollector(self._arguments, self._stats))
        orphan.watch(self._stop, self._arguments.healthcheck_interval_s, lambda: self._control.last_healthcheck)
        try:
            self._serve(open_client(self._arguments, self._settings.function_tokens))
        except RetryError:
            _log.info("stopped before it ran")
        except (PipelineError, pulsar.PulsarException) as error:
            self._health.not_running(str(error))
            _log.exception("the instance ends")
            return EXIT_FAILED
        finally:
            self._control.stop()
        _log.info("stopped: %s", self._stop.reason)
        return 0

    def _serve(self, client: pulsar.Client) -> None:
        if self._config.log_topic:
            logging.getLogger().addHandler(LogTopic(client, self._config.log_topic, self._arguments.instance_id))
        bundle = self._until_it_stands(lambda: open_bundle(self._arguments.package, self._settings.cache / "unpacked"))
        schemas = FunctionSchemas(bundle.src, bundle.manifest)
        late = self._until_it_stands(lambda: self._late_inputs(client, schemas))
        sink = Sink(client, self._schema_by_topic(schemas, late))
        context = self._context(bundle, client, sink)
        context.late = LateTopic(self._config.late.topic, late) if self._config.late else None
        function = self._until_it_stands(lambda: bundle.construct(context))
        context.prepared()
        if self._config.guarantee == "exactly_once":  # asked for here, where waiting for it holds no partitions
            self._until_it_stands(lambda: state_key(self._arguments, self._settings.function_tokens))
        source = Source.acquire(
            client, self._config.subscription, self._partitions, self._stop, self._health.not_running
        )
        self._open_outputs(sink)
        self._run_loop(client, schemas, sink, context, function, source)
        source.close()
        sink.close()
        client.close()

    def _run_loop(
        self,
        client: pulsar.Client,
        schemas: FunctionSchemas,
        sink: Sink,
        context: FunctionContext,
        function: Function,
        source: Source,
    ) -> None:
        config = self._config
        dead_letters = DeadLetters(config.dead_letter_topic, self._arguments.details.fully_qualified_name)
        guarantee = keep(
            client,
            self._arguments,
            self._partitions,
            sink,
            source,
            wire_schema(schemas.output) if schemas.output else None,
            self._settings.function_tokens,
            context.get_processing_time if has_timers(function) else None,
        )
        partitions = {partition.full_name: partition for partition in self._partitions}
        steps = Steps(
            decoders(client, schemas, self._partitions),
            self._output(schemas),
            Tolerance(config.retry, config.on_error, tuple(getattr(function, "transient", ()))),
            dead_letters,
            self._stats,
        )
        processor = way_of(function, context, steps, guarantee, self._in_work, self._stop, config)
        on_hang = end_hung_instance(
            config.event_timeout_s, self._health, guarantee, partitions, dead_letters, sink, source
        )
        watchdog = Watchdog(self._in_work, config.event_timeout_s, on_hang)
        watchdog.start()
        self._health.running()
        _log.info("running with %s", ", ".join(partitions))
        try:
            loop.run(source, processor, guarantee, context, sink, self._stats, self._stop)
        except Halted as halted:
            _log.critical("stopped at an event, as on_error wants it: %s", halted)
            self._health.not_running(str(halted))
            self._stop.event.wait()
        watchdog.close()
        processor.close()

    def _context(self, bundle: Bundle, client: pulsar.Client, sink: Sink) -> FunctionContext:
        arguments = self._arguments
        return FunctionContext(
            arguments,
            bundle.manifest.config | arguments.user_config,
            secrets.provider(arguments.secrets_provider, arguments.secrets, self._environment),
            client=client,
            idle=DirectLane(None, sink, MemoryState()),
            in_work=self._in_work,
            logger=logging.getLogger(f"function.{self._config.deployment}"),
        )

    def _until_it_stands(self, step: Callable[[], _Result]) -> _Result:
        """What `step` gives, tried again with longer and longer pauses; `status` shows why it does not stand yet.

        Raises RetryError when the instance is stopped meanwhile.
        """

        def failed(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            _log.error("%s", error, exc_info=error)
            self._health.not_running(str(error))
            self._stats.system_failure(str(error))

        retrying = Retrying(
            retry=retry_if_exception_type(InstanceError),
            wait=wait_exponential(multiplier=2, max=_LONGEST_PAUSE_S),
            stop=stop_when_event_set(self._stop.event),
            sleep=sleep_using_event(self._stop.event),
            before_sleep=failed,
        )
        return retrying(step)

    def _output(self, schemas: FunctionSchemas) -> Output | None:
        encode = output_encoder(schemas)
        return None if self._config.output is None or encode is None else Output(encode, schemas.output_key)

    def _late_inputs(self, client: pulsar.Client, schemas: FunctionSchemas) -> dict[str, Schema]:
        """The inputs whose events the late topic takes; empty where there is none. Raises InstanceError."""
        late = self._config.late
        if late is None:
            return {}
        try:
            inputs = inputs_of_late(client, late.topic, schemas.inputs)
        except ClusterError as error:
            raise InstanceError(f"cannot look up the schema of late events: {error}") from error
        if not inputs:
            raise InstanceError(
                f"{late.topic} has the schema of no input", mend="give it the schema file of the function's input"
            )
        return inputs

    def _schema_by_topic(self, schemas: FunctionSchemas, late: Mapping[str, Schema]) -> Callable[[str], Any]:
        """Producers of outputs and late events carry their Avro schemas; all others send bytes."""
        known: dict[str, Any] = {}
        if self._config.output and schemas.output:
            known[self._config.output.topic] = wire_schema(schemas.output)
        if self._config.late and late:
            known[self._config.late.topic] = wire_schema(next(iter(late.values())))
        return lambda topic: known.get(topic.rpartition(PARTITION_SUFFIX)[0] or topic)

    def _is_no_dead_letter(self, topic: str) -> bool:
        """Those are taken back one by one, and brokers forget which of a batch were when its topic moves."""
        return not topic.startswith(self._config.dead_letter_topic)

    def _open_outputs(self, sink: Sink) -> None:
        """Producers at start: a missing output or permission is told now, not with the first event."""
        topics = [self._config.dead_letter_topic] + ([self._config.output.topic] if self._config.output else [])
        for partition in {owned.partition for owned in self._partitions}:
            for topic in topics:
                self._open(sink, parse_topic(topic)[0].partition(partition))

    def _open(self, sink: Sink, topic: str) -> None:
        try:
            sink.open(topic)
        except pulsar.PulsarException as error:
            raise InstanceError(
                f"cannot publish to {topic}: {describe(error)}",
                mend="`pulsar-pipeline plan` shows what is missing: a topic, or the functions role's permission",
            ) from error
