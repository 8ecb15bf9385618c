"""The control service: the gRPC endpoint by which the functions worker asks an instance how it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.protobuf import empty_pb2

from pulsar_pipeline.errors import InstanceError
from pulsar_pipeline.runtime.supervision import control_protocol as wire
from pulsar_pipeline.runtime.supervision.health import Health
from pulsar_pipeline.runtime.supervision.stats import Failure, Stats

_SERVICE = "proto.InstanceControl"


class ControlService:
    """Answers from `Stats` and `Health`; never touches the loop. `start` binds, `stop` frees the port."""

    def __init__(self, instance_id: int, stats: Stats, health: Health) -> None:
        self._instance_id = instance_id
        self._stats = stats
        self._health = health
        self.last_healthcheck = time.monotonic()
        """When the worker last asked; an instance nobody asks about is an orphan."""
        self._server = grpc.server(ThreadPoolExecutor(max_workers=2, thread_name_prefix="control"))
        self._server.add_generic_rpc_handlers((self._handlers(),))

    def start(self, port: int) -> None:
        """Raises InstanceError when the port is taken."""
        try:
            self._server.add_insecure_port(f"0.0.0.0:{port}")
        except RuntimeError as error:
            raise InstanceError(f"cannot listen on the control port {port}: {error}") from error
        self._server.start()

    def stop(self) -> None:
        self._server.stop(grace=0.2)

    def _handlers(self) -> grpc.GenericRpcHandler:
        calls: dict[str, Callable[[Any, Any], Any]] = {
            "GetFunctionStatus": self._status,
            "GetMetrics": self._metrics,
            "GetAndResetMetrics": self._get_and_reset,
            "ResetMetrics": self._reset,
            "HealthCheck": self._healthcheck,
        }
        return grpc.method_handlers_generic_handler(
            _SERVICE,
            {
                name: grpc.unary_unary_rpc_method_handler(
                    call,
                    request_deserializer=empty_pb2.Empty.FromString,
                    response_serializer=lambda message: message.SerializeToString(),
                )
                for name, call in calls.items()
            },
        )

    def _status(self, _request: Any, _context: Any) -> Any:
        now, health = self._stats.snapshot(), self._health.read()
        return wire.FunctionStatus(
            running=health.running,
            failureException=health.failure or "",
            numRestarts=0,  # the worker keeps its own count
            numReceived=now.total.received,
            numSuccessfullyProcessed=now.total.processed,
            numUserExceptions=now.total.user_exceptions,
            latestUserExceptions=_failures(now.user_failures),
            numSystemExceptions=now.total.system_exceptions,
            latestSystemExceptions=_failures(now.system_failures),
            averageLatency=now.total.average_latency_ms,
            lastInvocationTime=now.last_invocation_ms,
            instanceId=str(self._instance_id),
        )

    def _metrics(self, _request: Any, _context: Any) -> Any:
        now = self._stats.snapshot()
        return wire.MetricsData(
            receivedTotal=now.total.received,
            receivedTotal_1min=now.last_minute.received,
            processedSuccessfullyTotal=now.total.processed,
            processedSuccessfullyTotal_1min=now.last_minute.processed,
            systemExceptionsTotal=now.total.system_exceptions,
            systemExceptionsTotal_1min=now.last_minute.system_exceptions,
            userExceptionsTotal=now.total.user_exceptions,
            userExceptionsTotal_1min=now.last_minute.user_exceptions,
            avgProcessLatency=now.total.average_latency_ms,
            avgProcessLatency_1min=now.last_minute.average_latency_ms,
            lastInvocation=now.last_invocation_ms,
            userMetrics=[wire.UserMetric(key=name, value=metric.last) for name, metric in now.user_metrics.items()],
        )

    def _get_and_reset(self, request: Any, context: Any) -> Any:
        answer = self._metrics(request, context)
        self._stats.reset()
        return answer

    def _reset(self, _request: Any, _context: Any) -> Any:
        self._stats.reset()
        return empty_pb2.Empty()

    def _healthcheck(self, _request: Any, _context: Any) -> Any:
        self.last_healthcheck = time.monotonic()
        return wire.HealthCheckResult(success=self._health.read().running)


def _failures(failures: tuple[Failure, ...]) -> list[Any]:
    return [wire.ExceptionInformation(exceptionString=f.text, msSinceEpoch=f.at_ms) for f in failures]
