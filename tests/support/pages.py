"""The documentation as data: its pages, their blocks, links, tables and commands.

Conventions, by a fenced block's info string:

    sh                  commands that a reader types; the integration tests run them, a page's blocks in their order
    sh exits=N          the same, and the last of them ends with this exit code
    sh retry            asks for something that takes a moment: run again until it succeeds
    LANG title=PATH     a file that the reader writes, relative to the repository
    text, json          output: of the `sh` block right before it, if there is one (held to what is really printed)
    (none)              a picture
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md")))
PROGRAM = "pulsar-pipeline"

_MARKDOWN = MarkdownIt("commonmark").enable("table")
_OPERATORS = frozenset("|&;<>()\n")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    options: dict[str, str]
    text: str

    @property
    def title(self) -> str | None:
        """The file that the block holds."""
        return self.options.get("title")

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def tokens(page: Path) -> list[Token]:
    return _MARKDOWN.parse(page.read_text())


def inline(page: Path, kind: str) -> Iterator[Token]:
    """Inline tokens of a kind, `code_inline` for one."""
    for token in tokens(page):
        for child in token.children or ():
            if child.type == kind:
                yield child


def blocks(page: Path) -> list[Block]:
    found = []
    for token in tokens(page):
        if token.type == "fence":
            language, *words = token.info.split() or [""]
            options = {name: value for name, _, value in (word.partition("=") for word in words)}
            found.append(Block(page, (token.map or [0])[0] + 1, language, options, token.content))
    return found


def files(page: Path) -> dict[str, str]:
    """The files that a page has its reader write, by path."""
    return {block.title: block.text for block in blocks(page) if block.title}


def links(page: Path) -> list[str]:
    return [str(token.attrs["href"]) for token in inline(page, "link_open")]


def anchors(page: Path) -> set[str]:
    """What a forge makes of the headings."""
    found, heading = set(), False
    for token in tokens(page):
        if heading:
            text = "".join(child.content for child in token.children or ())
            found.add(re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-"))
        heading = token.type == "heading_open"
    return found


def table(page: Path, heading: str) -> list[list[str]]:
    """The rows of the first table below a heading, as their Markdown text."""
    rows: list[list[str]] = []
    below = opened = body = False
    previous = None
    for token in tokens(page):
        if previous == "heading_open":
            if below:
                break
            below = token.content == heading
        opened = opened or (below and token.type == "table_open")
        body = opened and (body or token.type == "tbody_open")
        if body and token.type == "tr_open":
            rows.append([])
        if body and token.type == "inline":
            rows[-1].append(token.content)
        if opened and token.type == "table_close":
            break
        previous = token.type
    return rows


def plain(cell: str) -> str:
    """A cell without its backticks."""
    return cell.replace("`", "")


def commands(text: str) -> list[list[str]]:
    """The arguments of every call of the program in a shell text."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words = list(lexer)
        for index, word in enumerate(words):
            if word == PROGRAM:
                rest = words[index + 1 :]
                end = next((at for at, other in enumerate(rest) if set(other) <= _OPERATORS), len(rest))
                found.append(rest[:end])
    return found
