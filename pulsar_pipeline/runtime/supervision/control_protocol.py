"""Messages of Pulsar's instance control service (`InstanceCommunication.proto` of Apache Pulsar, package `proto`).

Built from the table below rather than by a compiler, so that they work with whatever protobuf version a function's
own dependencies bring. Numbers and names are the wire contract with the functions worker.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_T = descriptor_pb2.FieldDescriptorProto
_SCALARS = {"bool": _T.TYPE_BOOL, "string": _T.TYPE_STRING, "int64": _T.TYPE_INT64, "double": _T.TYPE_DOUBLE}

_MESSAGES: dict[str, list[tuple[int, str, str]]] = {
    "ExceptionInformation": [(1, "exceptionString", "string"), (2, "msSinceEpoch", "int64")],
    "FunctionStatus": [
        (1, "running", "bool"),
        (2, "failureException", "string"),
        (3, "numRestarts", "int64"),
        (17, "numReceived", "int64"),
        (5, "numSuccessfullyProcessed", "int64"),
        (6, "numUserExceptions", "int64"),
        (7, "latestUserExceptions", "*ExceptionInformation"),
        (8, "numSystemExceptions", "int64"),
        (9, "latestSystemExceptions", "*ExceptionInformation"),
        (18, "numSourceExceptions", "int64"),
        (20, "numSinkExceptions", "int64"),
        (12, "averageLatency", "double"),
        (13, "lastInvocationTime", "int64"),
        (14, "instanceId", "string"),
        (16, "workerId", "string"),
    ],
    "UserMetric": [(1, "key", "string"), (2, "value", "double")],
    "MetricsData": [
        (2, "receivedTotal", "int64"),
        (10, "receivedTotal_1min", "int64"),
        (4, "processedSuccessfullyTotal", "int64"),
        (12, "processedSuccessfullyTotal_1min", "int64"),
        (5, "systemExceptionsTotal", "int64"),
        (13, "systemExceptionsTotal_1min", "int64"),
        (6, "userExceptionsTotal", "int64"),
        (14, "userExceptionsTotal_1min", "int64"),
        (7, "avgProcessLatency", "double"),
        (15, "avgProcessLatency_1min", "double"),
        (8, "lastInvocation", "int64"),
        (9, "userMetrics", "*UserMetric"),  # a proto map is a list of key/value messages on the wire
    ],
    "HealthCheckResult": [(1, "success", "bool")],
}

_PACKAGE = "pulsar_pipeline.control"
"""Own package name: names of messages do not travel, and the stock one may be loaded in the same process."""


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="pulsar_pipeline/instance_control.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, field, kind in fields:
            repeated = kind.startswith("*")
            added = message.field.add(
                name=field, number=number, label=_T.LABEL_REPEATED if repeated else _T.LABEL_OPTIONAL
            )
            if repeated:
                added.type, added.type_name = _T.TYPE_MESSAGE, f".{_PACKAGE}.{kind[1:]}"
            else:
                added.type = _SCALARS[kind]
    return file


def _classes() -> dict[str, Any]:
    pool = descriptor_pool.DescriptorPool()
    pool.Add(_file())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES
    }


_BUILT = _classes()
ExceptionInformation: Any = _BUILT["ExceptionInformation"]
FunctionStatus: Any = _BUILT["FunctionStatus"]
UserMetric: Any = _BUILT["UserMetric"]
MetricsData: Any = _BUILT["MetricsData"]
HealthCheckResult: Any = _BUILT["HealthCheckResult"]
