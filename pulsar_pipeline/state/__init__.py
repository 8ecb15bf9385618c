"""What an operator does with a deployment's state: look at it, take it out into a file, put it back or elsewhere.

In: the state logs of a deployment, with the tenant's state key. Out: keys and values to be shown, a file, or commits in
the logs of a deployment that does not run. Called by cli. Nothing here unpickles anything.

`kinds.py` are the kinds of keys, `pickled.py` names a pickled object's class, `reading.py` reads a partition;
`archive.py` is the file, `placement.py` the rule by which keys move to other partitions, `leaving.py` and `arriving.py`
are the two moves, with `rewind.py`; `trimming.py` lets go of what is not needed again.
"""
