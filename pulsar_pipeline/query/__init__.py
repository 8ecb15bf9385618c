"""The HTTP API over a cluster's views. Requests in, predictions (or problem details) out. Called by cli.

`app.py` puts the application together, `routes.py` holds what it answers, `operations.py` the paths for operators,
`access.py` who may read what, `problems.py` every error's form, `shapes.py` the bodies, `exposition.py` the metrics,
`server.py` the processes.
"""
