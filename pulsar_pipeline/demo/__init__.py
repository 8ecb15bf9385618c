"""The product's main job from nothing to predictions, as `make demo` shows it: the commands a user would type, one by
one, then live traffic with its latencies measured, then the same predictions read from every cluster over HTTP.

`run.py` tells the story; `services.py` keeps the query services running in the background, `traffic.py` sends,
`latency.py` measures, `report.py` reads the results. Called by cli.
"""
