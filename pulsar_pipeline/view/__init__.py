"""A deployment's output topic in, its latest prediction per entity in LMDB out. Called by query and cli.

`rule.py` decides which message wins, `row.py` turns a message into a row, `store.py` writes rows and positions in one
transaction (`migrate.py`: those of the format before), `reader.py` reads them from other processes, `freshness.py` says
how old they are, `tail.py` reads one partition, `materialise.py` runs a cluster's views, `process.py` is the
materialiser's own process.
"""
