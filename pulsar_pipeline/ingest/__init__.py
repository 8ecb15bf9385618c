"""Events from files into topics.

In: CSV or JSON lines, a topic of a tenant spec and its Avro schema. Out: encoded events with key and event time, each
on the partition its key decides; the rows that are none, with their line and the reason. Called by `events send` and
by the demo. Nothing here knows of the command line.
"""
