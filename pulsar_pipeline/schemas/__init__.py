"""Avro schemas and records: `.avsc` files and registered schemas in, bytes and records out.

`schema.py` loads one, `accepts.py` says which Python values it takes, `codec.py` encodes and decodes, `wire.py` ties
it to Pulsar's schema registry, `compatibility.py` gives the broker's verdict offline, `values.py` turns records into
JSON. Called by plan, package, runtime, online, view and cli; copied into packages, so it leans on fastavro and pulsar
alone (`check.py`, the checks of a tenant spec that need Avro, is the exception and is never copied).
"""
