"""The settings of a local cluster's broker and functions worker, as data. Pure; no I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pulsar_pipeline.local.layout import ClusterLayout
from pulsar_pipeline.local.ports import HOST, Ports

ADMIN_ROLE = "admin"
TOKEN_PLUGIN = "org.apache.pulsar.client.impl.auth.AuthenticationToken"
TOKEN_PROVIDER = "org.apache.pulsar.broker.authentication.AuthenticationProviderToken"

MAX_MESSAGE_BYTES = 5 * 1024 * 1024
FRAME_PADDING_BYTES = 10 * 1024
"""An entry of the full message size must still fit a bookie's frame with its headers, or the bookie hangs up."""

_STORAGE = {
    "allowLoopback": True,
    "journalSyncData": True,  # fsync: what was acknowledged survives a power cut
    "journalWriteData": True,
    "journalMaxGroupWaitMSec": 1,
    "journalPreAllocSizeMB": 4,
    "journalMaxSizeMB": 128,
    "journalMaxBackups": 0,
    "logSizeLimit": 256 * 1024 * 1024,
    "minUsableSizeForEntryLogCreation": 64 * 1024 * 1024,
    # A big disk that is 95% full still has room; `up` refuses to start on a really full one.
    "diskUsageThreshold": 0.995,
    "diskUsageWarnThreshold": 0.99,
    "diskUsageLwmThreshold": 0.99,
    "gcWaitTime": 300_000,
    "dbStorage_writeCacheMaxSizeMb": 32,
    "dbStorage_readAheadCacheMaxSizeMb": 16,
    "dbStorage_rocksDB_blockCacheSize": 16 * 1024 * 1024,
    "ledgerStorageClass": "org.apache.bookkeeper.bookie.storage.ldb.DbLedgerStorage",
    "numAddWorkerThreads": 2,
    "numReadWorkerThreads": 2,
    "numHighPriorityWorkerThreads": 2,
    "serverNumIOThreads": 2,
    "httpServerEnabled": False,
    "nettyMaxFrameSizeBytes": MAX_MESSAGE_BYTES + FRAME_PADDING_BYTES,
    "managedLedgerDefaultEnsembleSize": 1,
    "managedLedgerDefaultWriteQuorum": 1,
    "managedLedgerDefaultAckQuorum": 1,
    "managedLedgerCacheSizeMB": 64,
    # A consumer that waits is given the next event at once, not up to 10 ms later: input and output each pay this.
    "managedLedgerNewEntriesCheckDelayInMillis": 0,
    "managedLedgerNumSchedulerThreads": 2,
    "managedLedgerNumWorkerThreads": 2,
    "bookkeeperClientNumWorkerThreads": 2,
    "bookkeeperClientNumIoThreads": 2,
}

_BROKER = {
    "loadBalancerEnabled": False,
    "maxMessageSize": MAX_MESSAGE_BYTES,
    "numIOThreads": 2,
    "numOrderedExecutorThreads": 2,
    "numHttpServerThreads": 8,
    "numExecutorThreadPoolSize": 4,
    "numCacheExecutorThreadPoolSize": 2,
    "numWorkerThreadsForNonPersistentTopic": 1,
    "topicOrderedExecutorThreadNum": 4,
    "brokerClientNumIOThreads": 1,
    "keepAliveIntervalSeconds": 30,
    "brokerShutdownTimeoutMs": 3000,
    # Topics are declared, so that an idle one is not rubbish.
    "brokerDeleteInactiveTopicsEnabled": False,
    "allowAutoTopicCreation": True,  # the worker's own topics need it; tenants' namespaces switch it off
    "allowAutoTopicCreationType": "non-partitioned",
    "systemTopicEnabled": True,
    "topicLevelPoliciesEnabled": True,
    "acknowledgmentAtBatchIndexLevelEnabled": True,
    "brokerDeduplicationEnabled": False,  # switched on per namespace
    "backlogQuotaDefaultLimitBytes": -1,
    "backlogQuotaCheckIntervalInSeconds": 10,
    "brokerServiceCompactionMonitorIntervalInSeconds": 30,
    "transactionCoordinatorEnabled": False,
    "webSocketServiceEnabled": False,
    "enablePackagesManagement": True,
    "exposeTopicLevelMetricsInPrometheus": True,
    "replicationMetricsEnabled": True,
    "statusFilePath": "",
}

_WORKER = {
    "pulsarFunctionsNamespace": "public/functions",
    "functionMetadataTopicName": "metadata",
    "functionAssignmentTopicName": "assignments",
    "clusterCoordinationTopicName": "coordinate",
    "numFunctionPackageReplicas": 1,
    "schedulerClassName": "org.apache.pulsar.functions.worker.scheduler.RoundRobinScheduler",
    "failureCheckFreqMs": 3000,
    "rescheduleTimeoutMs": 10_000,
    "initialBrokerReconnectMaxRetries": 60,
    "assignmentWriteMaxRetries": 60,
    "instanceLivenessCheckFreqMs": 3000,  # how soon a dead instance is started again
    "rebalanceCheckFreqSec": -1,
    "topicCompactionFrequencySec": 1800,
    "metricsSamplingPeriodSec": 60,
    "functionRuntimeFactoryClassName": "org.apache.pulsar.functions.runtime.process.ProcessRuntimeFactory",
    "secretsProviderConfiguratorClassName": (
        "org.apache.pulsar.functions.secretsproviderconfigurator.DefaultSecretsProviderConfigurator"
    ),
    "functionsWorkerServiceNarPackage": "",
    "authorizationProvider": "org.apache.pulsar.broker.authorization.PulsarAuthorizationProvider",
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """Files that the cluster's own processes read; all absolute."""

    token_key: Path
    admin_token: Path

    @property
    def client_parameters(self) -> str:
        """For Pulsar's `AuthenticationToken`: a file, so that no token is in a config or on a command line."""
        return file_url(self.admin_token)


def file_url(path: Path) -> str:
    """As Pulsar reads it: it decodes no percent signs, which is why `up` refuses folders with blanks and the like."""
    return f"file://{path}"


def broker_settings(cluster: ClusterLayout, ports: Ports, credentials: Credentials) -> dict[str, Any]:
    """`standalone.conf`: broker, bookie and metadata store of one cluster."""
    return {
        "clusterName": cluster.name,
        "bindAddress": HOST,
        "advertisedAddress": HOST,
        "webServicePort": ports.admin,
        "brokerServicePort": ports.broker,
        **_BROKER,
        **_STORAGE,
        "authenticationEnabled": True,
        "authorizationEnabled": True,
        "authenticationProviders": TOKEN_PROVIDER,
        "tokenSecretKey": file_url(credentials.token_key),
        "superUserRoles": ADMIN_ROLE,
        "brokerClientAuthenticationPlugin": TOKEN_PLUGIN,
        "brokerClientAuthenticationParameters": credentials.client_parameters,
    }


def worker_settings(
    cluster: ClusterLayout, ports: Ports, credentials: Credentials, *, python_instance: Path, any_jar: Path
) -> dict[str, Any]:
    """`functions_worker.yml`. `any_jar` stands for the Java instance: the worker asks for one, nothing here runs it."""
    return {
        **_WORKER,
        "workerHostname": HOST,
        "workerPort": ports.admin,
        "pulsarFunctionsCluster": cluster.name,
        "pulsarServiceUrl": ports.broker_url,
        "pulsarWebServiceUrl": ports.admin_url,
        "downloadDirectory": str(cluster.worker / "download"),
        "connectorsDirectory": str(cluster.worker / "connectors"),
        "functionsDirectory": str(cluster.worker / "builtin"),
        "narExtractionDirectory": str(cluster.worker / "nar"),
        "functionRuntimeFactoryConfigs": {
            "javaInstanceJarLocation": str(any_jar),
            "pythonInstanceLocation": str(python_instance),
            "logDirectory": str(cluster.instance_logs),
            "extraFunctionDependenciesDir": str(cluster.worker / "extra"),
        },
        "authenticationEnabled": True,
        "authorizationEnabled": True,
        "authenticationProviders": [TOKEN_PROVIDER],
        "superUserRoles": [ADMIN_ROLE],
        "properties": {"tokenSecretKey": file_url(credentials.token_key)},
        "brokerClientAuthenticationEnabled": True,
        "brokerClientAuthenticationPlugin": TOKEN_PLUGIN,
        "brokerClientAuthenticationParameters": credentials.client_parameters,
        "clientAuthenticationPlugin": TOKEN_PLUGIN,
        "clientAuthenticationParameters": credentials.client_parameters,
    }


def render_properties(settings: Mapping[str, Any]) -> str:
    """A Java properties file, keys in the given order."""
    return "".join(f"{key}={_property(value)}\n" for key, value in settings.items())


def _property(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).replace("\\", "\\\\")


def render_yaml(settings: Mapping[str, Any]) -> str:
    """A YAML file, keys in the given order."""
    # Through JSON: only plain values, no anchors or tags.
    return str(yaml.safe_dump(json.loads(json.dumps(settings)), sort_keys=False, width=1000))
