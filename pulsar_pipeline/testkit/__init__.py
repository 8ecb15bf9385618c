"""What stands behind `pulsar_pipeline.testing`: functions run without a broker, through crashes.

`subject.py` finds a function and makes objects of it, `world.py` is what outlives a process (the output topic, the
committed state), `run.py` takes the events through as many processes as there are crashes, `recovery.py` looks for
what a crash changes, `difference.py` says where two values differ. Called by authors' tests and ours, never packaged.
"""
