"""The protocol of exactly-once: what the state log and the stamps on outputs say, and what follows from them.

Enters: records of a partition's state log, stamps of its outputs. Leaves: the committed state, who may write, which
outputs count. Called by runtime (the owner's start and commits) and view (which outputs to take).

`stamp.py` is the text on each output, `runs.py` the order of events in it, `lineage.py` the one rule that views and
recovery share; `records.py` are the log's records, `sealed.py` and `keys.py` their bytes, `fold.py` what a log comes
to, `packing.py` fits entries into records, `topics.py` reads and writes a log on a broker; all others are pure.
"""
