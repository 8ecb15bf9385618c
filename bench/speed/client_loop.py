"""The limit: a loop of the client library alone. Receive a batch, send each message on, and when the outputs are stored
acknowledge the batch; meanwhile the next batch is under way. At least once, and no function.

    python client_loop.py JSON

Key and event time go along where a message has them, as a function's output has them.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pulsar

_BATCH = 1000
_GATHER_MS = 2
_IDLE_MS = 200
_QUEUE = 10_000


def main() -> None:
    """Until SIGTERM."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    job = json.loads(sys.argv[1])
    client = pulsar.Client(
        job["url"],
        authentication=pulsar.Authentication("token", f"file://{job['token']}"),
        logger=pulsar.FileLogger(pulsar.LoggerLevel.Warn, os.devnull),
    )
    consumer = client.subscribe(
        [f"{job['input']}-partition-{index}" for index in range(job["partitions"])],
        job["subscription"],
        consumer_type=pulsar.ConsumerType.Exclusive,
        initial_position=pulsar.InitialPosition.Earliest,
        receiver_queue_size=_QUEUE,
        batch_receive_policy=pulsar.ConsumerBatchReceivePolicy(_BATCH - 1, -1, _GATHER_MS),
    )
    producers = [
        client.create_producer(
            f"{job['output']}-partition-{index}",
            batching_enabled=True,
            batching_max_messages=_BATCH,
            batching_max_publish_delay_ms=1,
            max_pending_messages=_QUEUE,
            block_if_queue_full=True,
        )
        for index in range(job["partitions"])
    ]
    try:
        _run(consumer, producers)
    except KeyboardInterrupt:
        os._exit(0)


def _run(consumer: Any, producers: list[Any]) -> None:
    under_way: Future[None] | None = None
    with ThreadPoolExecutor(1) as behind:
        while True:
            try:
                first = consumer.receive(_IDLE_MS)
            except pulsar.Timeout:
                continue
            last = {}
            for message in (first, *consumer.batch_receive()):
                index = message.message_id().partition() if len(producers) > 1 else 0
                options = {"partition_key": key} if (key := message.partition_key()) else {}
                if at := message.event_timestamp():
                    options["event_timestamp"] = at
                producers[index].send_async(message.data(), None, **options)
                last[index] = message
            if under_way is not None:
                under_way.result()
            under_way = behind.submit(_finish, consumer, producers, list(last.values()))


def _finish(consumer: Any, producers: list[Any], last: list[Any]) -> None:
    for producer in producers:
        producer.flush()
    for message in last:
        consumer.acknowledge_cumulative(message)


if __name__ == "__main__":
    main()
