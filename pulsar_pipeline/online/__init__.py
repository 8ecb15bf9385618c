"""What function authors use: decoded events in, predictions out. Copied into packages; called by runtimes and tests.

`function.py` is the base class, `answers.py` what it may answer, `models.py` holds models by key, `context.py` reads
key, time and config of an event, `metrics.py` measures a model as it goes, `windows.py` gathers events by their time.
`codecs.py` holds a function's Avro schemas. `memory.py` is a context without a broker, `rehearsal.py` runs a function
on given events with it; `stock.py` and `checkpoint.py` are for Pulsar's own Python runtime. Imports only the standard
library, pulsar, fastavro and, of this product, the shared roots, `schemas` and `package.manifest`.
"""
