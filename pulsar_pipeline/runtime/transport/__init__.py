"""How events come in and messages go out: the client library's consumers and producers, and what goes through them.

Enters: messages of the owned partitions, as `source.py` receives them. Leaves: outputs (`outlet.py`), messages for
other topics (`sink.py`, `courier.py`), events that were set aside (`dead_letters.py`). Called by all of the runtime.
"""
