"""The instance: one process that the functions worker starts, owning some partitions of a deployment's inputs.

Enters: the worker's arguments and a package. Leaves: outputs, dead letters, metrics, status. Started through `main.py`
(by the functions worker) or `foreground.py`, assembled in `instance.py`; `loop.py` takes events from
`transport/source.py` through a guarantee's turns and a way of processing to the lanes of their partitions.

    transport/  ◀ supervision/ ◀ processing/ ◀ guarantees/    imports point to the left
"""
