"""Desired state and live clusters in, an ordered list of typed steps out. Nothing here can change a cluster.

`desired.py` turns specs into the state each cluster should have, `observe.py` reads the state it has, `diff.py`
compares the two into the steps of `steps.py`, `make.py` ties these together, `explain.py` tells a plan as text and
JSON. Called by apply and cli.
"""
