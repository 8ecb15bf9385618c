"""Pulsar clusters as the product sees them: what is there (reader), what can be changed (writer).

`protocol.py` holds both protocols, `admin.py` the real cluster over the admin REST API, `fake.py` the one in memory
(both pass `tests/contract`), `http.py` the authenticated HTTP client, `connect.py` the binary-protocol client.
"""
