"""What a deployment is promised, and how it is kept: which events are due, where state and outputs go, when inputs are
acknowledged.

Enters: received events, and what became of them. Leaves: turns for `processing/`, commits, acknowledgements. `keep.py`
makes the guarantee that a deployment declares; docs/exactly-once.md tells why it holds. Called by the instance.
"""
