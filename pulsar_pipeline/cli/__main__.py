"""`python -m pulsar_pipeline.cli`: the command line without the installed script."""

from __future__ import annotations

from pulsar_pipeline.cli.main import run

if __name__ == "__main__":
    run()
