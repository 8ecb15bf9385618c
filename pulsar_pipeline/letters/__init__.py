"""Dead letters: what waits on a deployment's dead-letter topic, shown, taken back into its inputs, or dismissed.

Enters: messages that instances set aside (`runtime/transport/dead_letters.py`), and somebody's choice among them.
Leaves: the same events in the inputs they came from, and acknowledgements. Called by the command line.
"""
