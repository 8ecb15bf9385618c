"""The documentation is held to the code: links, examples, command lines, tables."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperArgument, TyperGroup

from pulsar_pipeline import metrics
from pulsar_pipeline.cli.main import PROGRAM, build
from pulsar_pipeline.cli.reference import reference
from pulsar_pipeline.errors import ExitCode
from pulsar_pipeline.local.config import Credentials, broker_settings, worker_settings
from pulsar_pipeline.local.layout import Layout
from pulsar_pipeline.local.ports import Ports
from pulsar_pipeline.metrics import Metric
from pulsar_pipeline.names import java_string_hash
from pulsar_pipeline.query.shapes import BatchAnswer, Models, Prediction, Problem
from pulsar_pipeline.runtime.transport.dead_letters import Reason
from pulsar_pipeline.schemas.check import check_tenant_schemas
from pulsar_pipeline.schemas.schema import load_schema
from pulsar_pipeline.settings import Settings
from pulsar_pipeline.spec.check import check_tenant
from pulsar_pipeline.spec.load import load_functions, load_platform, load_tenants
from pulsar_pipeline.view.freshness import FRESH_MS
from tests.support import pages
from tests.support.pages import PAGES, ROOT, Block, blocks, plain, table

ENGINEER = ROOT / "docs" / "platform-engineer.md"
AUTHOR = ROOT / "docs" / "model-author.md"
DEVELOPER = ROOT / "docs" / "app-developer.md"

LINKED = (*PAGES, *ROOT.glob("functions/**/README.md"), ROOT / "requirements" / "README.md")
ALL_BLOCKS = [block for page in PAGES for block in blocks(page)]
COMMANDS = typer.main.get_command(build())

KINDS = {"sh", "text", "json", "yaml", "python", "csv", "jsonl", "console", ""}


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", LINKED, ids=page_id)
def test_links_lead_somewhere(page: Path) -> None:
    lost = []
    for link in pages.links(page):
        target, _, anchor = link.partition("#")
        if "://" in target:
            continue
        file = (page.parent / target).resolve() if target else page
        if not file.exists() or (anchor and anchor not in pages.anchors(file)):
            lost.append(link)
    assert lost == []


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_blocks_follow_the_conventions(page: Path) -> None:
    strange = [block.place for block in blocks(page) if block.language not in KINDS]
    needless = [block.place for block in blocks(page) if block.language in ("yaml", "python") and not block.title]
    assert (strange, needless) == ([], []), "see tests/support/pages.py"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_commands_stand_where_they_are_run(page: Path) -> None:
    """Not in indented blocks, and not in fenced ones that nobody types."""
    hidden = [token.content for token in pages.tokens(page) if token.type == "code_block"]
    hidden += [block.text for block in blocks(page) if block.language not in ("sh", "text", "console")]
    assert [text for text in hidden if f"{PROGRAM} " in text] == []


@pytest.mark.parametrize("block", [block for block in ALL_BLOCKS if block.language == "json"], ids=lambda b: b.place)
def test_json_is_json(block: Block) -> None:
    assert isinstance(json.loads(block.text), dict)


@pytest.mark.parametrize(
    ("key", "shape"),
    [("entity", Prediction), ("found", BatchAnswer), ("models", Models), ("instance", Problem)],
    ids=str,
)
def test_answers_have_the_shapes_of_the_api(key: str, shape: Any) -> None:
    answers = [json.loads(block.text) for block in blocks(DEVELOPER) if block.language == "json"]
    found = [answer for answer in answers if key in answer]
    assert [shape.model_validate(answer) for answer in found]


def test_files_in_the_pages_load(tmp_path: Path) -> None:
    """Everything that readers are told to write, beside what is in the repository."""
    for folder in ("tenants", "functions"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    written = {title: text for page in PAGES for title, text in pages.files(page).items()}
    for title, text in written.items():
        (tmp_path / title).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / title).write_text(text)
    functions = load_functions(tmp_path / "functions")
    tenants = load_tenants(tmp_path / "tenants")
    platform = load_platform(tmp_path / "platform.yaml")
    for tenant in tenants.values():
        check_tenant(tenant, platform, functions)
        check_tenant_schemas(tenant, functions)
    for schema in tmp_path.glob("functions/*/schemas/*.avsc"):
        load_schema(schema)
    told = {
        Path(title).parts[1].removesuffix(".yaml") for title in written if title.startswith(("tenants", "functions"))
    }
    assert told <= tenants.keys() | functions.keys()


def test_no_page_has_a_file_of_another_or_of_the_repository() -> None:
    titles = [block.title for block in ALL_BLOCKS if block.title]
    assert len(titles) == len(set(titles))
    assert [title for title in titles if (ROOT / title).exists()] == []


# ── commands ──────────────────────────────────────────────────────────────────────────────────


def _command(words: list[str]) -> tuple[typer.Context, Any, list[str]]:
    """The command that words name, in its context, and what is left of them."""
    context, command = typer.Context(COMMANDS, info_name=PROGRAM), COMMANDS
    while isinstance(command, TyperGroup) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        assert found is not None, f"no command {words[0]!r}"
        command, words = found, words[1:]
        context = typer.Context(command, info_name=command.name, parent=context)
    return context, command, words


SHELL_LINES = [
    (block.place, words) for block in ALL_BLOCKS if block.language == "sh" for words in pages.commands(block.text)
]


@pytest.mark.parametrize(("place", "words"), SHELL_LINES, ids=str)
def test_command_lines_parse(place: str, words: list[str]) -> None:
    context, command, rest = _command(list(words))
    assert not isinstance(command, TyperGroup)
    command.parse_args(context, list(rest))
    assert context.params.keys() >= {param.name for param in command.params if param.required}


INLINE = sorted(
    {
        code.content
        for page in PAGES
        for code in pages.inline(page, "code_inline")
        if code.content.startswith(PROGRAM + " ")
    }
)


@pytest.mark.parametrize("text", INLINE)
def test_commands_in_the_text_exist(text: str) -> None:
    """A verb alone is welcome there; what stands after it has to be its own."""
    (words,) = pages.commands(text)
    if words[0].isupper():
        return
    _, command, rest = _command(words)
    known = {option for param in command.params for option in (*param.opts, *param.secondary_opts)} | {"--help"}
    options = [word.partition("=")[0] for word in rest if word.startswith("-") and word != "-"]
    assert [option for option in options if option not in known] == []
    if len(rest) > len(options):
        assert any(isinstance(param, TyperArgument) for param in command.params) or options


def test_the_reference_is_up_to_date() -> None:
    assert (ROOT / "docs" / "cli.md").read_text() == reference(), (
        "python -m pulsar_pipeline.cli.reference > docs/cli.md"
    )


# ── tables ────────────────────────────────────────────────────────────────────────────────────


def metric_row(metric: Metric) -> list[str]:
    return [f"`{metric.name}`", metric.kind, ", ".join(metric.labels), metric.help, metric.remedy]


def test_metrics_are_those_of_the_code() -> None:
    expected = [metric_row(metric) for metric in metrics.ALL]
    assert table(ENGINEER, "Metrics") == expected, "\n".join("| " + " | ".join(row) + " |" for row in expected)


def test_exit_codes_are_those_of_the_code() -> None:
    told = {(int(code), name) for code, name, _ in table(ENGINEER, "Exit codes")}
    assert told == {(code.value, code.name) for code in ExitCode}


def test_variables_are_those_of_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = {}
    for name, field in Settings.model_fields.items():
        variable = str(field.validation_alias or f"PULSAR_PIPELINE_{name.upper()}")
        default = "" if field.default is None else str(field.default).replace(str(Path.home()), "~")
        expected[variable] = default
    told = {plain(name): plain(default) for name, default, _ in table(ENGINEER, "Environment")}
    assert told == expected


def _local_settings() -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    layout = Layout.of(Path("/somewhere"))
    cluster, ports = layout.cluster("west"), Ports(admin=1, broker=2, bookie=3)
    credentials = Credentials(layout.token_key, layout.admin_token)
    worker = worker_settings(cluster, ports, credentials, python_instance=Path("main.py"), any_jar=Path("any.jar"))
    return broker_settings(cluster, ports, credentials), worker | worker["functionRuntimeFactoryConfigs"]


@pytest.mark.parametrize(("heading", "kind"), [("Broker", 0), ("Functions worker", 1)])
def test_settings_are_those_of_the_local_clusters(heading: str, kind: int) -> None:
    ours = {name: str(value).lower() for name, value in _local_settings()[kind].items()}
    told = {plain(name): plain(value).lower() for name, value, _ in table(ENGINEER, heading)}
    expected = {name: ours[name] for name in told.keys() & ours.keys()} | {"pythonInstanceLocation": "…"}
    differing = {name: value for name, value in told.items() if expected.get(name, value) not in (value, "…")}
    assert differing == {}
    assert told.keys() <= ours.keys()


def test_instances_take_the_variables_that_the_page_names() -> None:
    launch = (package_files("pulsar_pipeline.local") / "launch.py").read_text()
    told = [plain(name) for name, _ in table(ENGINEER, "Environment of the functions worker")]
    assert told
    assert [name for name in told if f'"{name}": ' not in launch] == []


def test_dead_letters_are_told_in_full() -> None:
    text, source = (
        AUTHOR.read_text(),
        (package_files("pulsar_pipeline.runtime.transport") / "dead_letters.py").read_text(),
    )
    assert all(f"`{reason.value}`" in text for reason in Reason)
    names = [plain(part) for name, _ in table(AUTHOR, "Dead letters") for part in name.split(", ")]
    assert all(f'"{name}": ' in source for name in names)


def test_messages_in_the_troubleshooting_table_are_ones_of_the_product() -> None:
    source = "".join(path.read_text() for path in (ROOT / "pulsar_pipeline").rglob("*.py"))
    quoted = [text for message, _, _ in table(ENGINEER, "Trouble") for text in re.findall("`([^`]+)`", message)]
    assert quoted
    assert [text for text in quoted if text not in source] == []


def test_problems_are_those_of_the_api() -> None:
    source = "".join(path.read_text() for path in (ROOT / "pulsar_pipeline").rglob("*.py"))
    slugs = [plain(slug) for _, slug, _ in table(DEVELOPER, "When it does not work")]
    assert slugs
    assert [slug for slug in slugs if f'"{slug}"' not in source] == []


def test_a_lag_of_nothing_means_a_second() -> None:
    (row,) = [row for row in table(DEVELOPER, "How fresh an answer is") if row[0] == "`lag_ms`"]
    assert "0 means a second ago or less" in row[1]
    assert FRESH_MS == 1000


@pytest.mark.parametrize("key", ["mill-01", "", "Zürich", "𝄞"])
def test_the_python_producer_chooses_the_products_partitions(key: str) -> None:
    namespace: dict[str, Any] = {"__name__": "send"}
    exec(compile(pages.files(DEVELOPER)["send.py"], "send.py", "exec"), namespace)
    assert namespace["partition_of"](key, 7) == java_string_hash(key) % 7
