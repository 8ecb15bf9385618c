"""The command line's reference as Markdown: `python -m pulsar_pipeline.cli.reference > docs/cli.md`."""

from __future__ import annotations

import re
import sys

import typer
from typer.cli import get_docs_for_click

from pulsar_pipeline.cli.main import PROGRAM, build

_HEADER = """# Command line

Made from the commands themselves: `python -m pulsar_pipeline.cli.reference > docs/cli.md`. Every command has `--help`.
What prints data prints JSON with `--json`; messages and progress go to standard error.

"""

_HELP_OPTION = re.compile(r"^\* `--help`: .*\n", re.MULTILINE)
_NO_OPTIONS = re.compile(r"^\*\*Options\*\*:\n\n\n", re.MULTILINE)
_HEADING = re.compile(r"^#+ `(?P<command>[^`]+)`$")
_SUBCOMMAND = re.compile(r"^\* `(?P<name>[a-z-]+)`(?:: .*)?$")


def reference() -> str:
    """The whole page."""
    command = typer.main.get_command(build())
    text = get_docs_for_click(obj=command, ctx=typer.Context(command, info_name=PROGRAM), indent=1, name=PROGRAM)
    text = _NO_OPTIONS.sub("", _HELP_OPTION.sub("", text))
    return _HEADER + "\n".join(_linked(text.rstrip().splitlines())) + "\n"


def _linked(lines: list[str]) -> list[str]:
    """Subcommands as links to their sections; typer cuts their descriptions short, and each has its own there."""
    linked, current, listing = [], "", False
    for line in lines:
        heading, entry = _HEADING.match(line), _SUBCOMMAND.match(line)
        current = heading["command"] if heading else current
        listing = line == "**Commands**:" or (listing and not heading)
        if listing and entry:
            anchor = f"{current} {entry['name']}".replace(" ", "-")
            linked.append(f"* [`{entry['name']}`](#{anchor})")
        else:
            linked.append(line)
    return linked


if __name__ == "__main__":
    sys.stdout.write(reference())
