"""The instance: one process that the functions worker starts, owning some partitions of a deployment's inputs.

Enters: the worker's arguments and a package. Leaves: outputs, dead letters, metrics, status. Started by the functions
worker through `main.py`, assembled in `instance.py`; an event goes `source` → `processor` → `sink` → `commit`.
"""
