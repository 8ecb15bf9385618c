"""What function authors use: decoded events in, predictions out. Copied into packages; called by runtimes and tests.

`function.py` is the base class, `context.py` reads key, time and config of an event, `metrics.py` measures a model
as it goes, `codecs.py` holds a function's Avro schemas, `memory.py` is a context without a broker, `rehearsal.py`
runs a function on given events with it. Imports only the standard library, pulsar, fastavro and, of this product,
the shared roots, `schemas` and `package.manifest`.
"""
