"""From an event to what comes of it: the ways of calling a function, and what a function may ask and change meanwhile.

Enters: turns of events (`turn.py`). Leaves: outputs, changes of state and messages, down the lane of the turn. Knows of
guarantees no more than `guarantee.py` says. Called by the loop.
"""
