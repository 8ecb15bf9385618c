"""Desired state: YAML files in, frozen models out. Called by plan, rollout, view and cli.

`model.py` holds the shapes, `load.py` reads the files and reports errors by file, line and key,
`check.py` holds the rules across models (`guarantee.py` those of exactly-once deployments), `json_schema.py` publishes
the shapes for editors.
"""
