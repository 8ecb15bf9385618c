"""Real Pulsar clusters on this machine, for demos, development and tests.

Enters: a folder, the names of the clusters, the download cache. Leaves: running Pulsar standalone JVMs with the
functions worker, tokens and authorization on, and a platform file that describes them. Called by the verb `local` and
by the test fixtures; no other part of the product knows that a cluster is a local one.
"""
