"""Files with mistakes: each is told with its line, key and mend, all of a file together."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from pulsar_pipeline.errors import SpecError
from pulsar_pipeline.spec.load import load_function, load_functions, load_platform, load_tenant, load_tenants
from pulsar_pipeline.spec.model import Tenant

GOOD = dedent("""\
    tenant: acme
    clusters: [west, east]
    home: west
    namespaces:
      sensors:
        retention: {time: 7d, size: 10GB}
    topics:
      sensors/readings:
        partitions: 4
        schema: schemas/reading.v1.avsc
    deployments:
      risk:
        function: risk
        namespace: sensors
        inputs:
          readings: sensors/readings
    """)


def write(folder: Path, text: str, name: str = "acme.yaml") -> Path:
    path = folder / name
    path.write_text(dedent(text))
    return path


def problems(path: Path) -> list[SpecError]:
    with pytest.raises(SpecError) as caught:
        load_tenant(path)
    return list(caught.value.problems or (caught.value,))


def told(problem: SpecError) -> str:
    return f"{problem.what} | {problem.mend}"


def test_a_good_file(tmp_path):
    tenant = load_tenant(write(tmp_path, GOOD))
    assert tenant.namespaces["sensors"].retention.time == 7 * 86400
    assert tenant.topics["sensors/readings"].schema_file == tmp_path / "schemas" / "reading.v1.avsc"
    assert tenant.source.line("deployments", "risk", "function") == 13
    assert tenant.source.file == tmp_path / "acme.yaml"


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "fragment"),
    [
        # unknown keys
        ("home: west", "home: west\ncolour: red", 4, "colour", "unknown key | known here: tenant, admin_roles"),
        ("namespaces:", "namespace:", 4, "namespace", "unknown key | did you mean `namespaces`?"),
        ("retention:", "retenton:", 6, "namespaces.sensors.retenton", "did you mean `retention`?"),
        ("time: 7d", "tim: 7d", 6, "namespaces.sensors.retention.tim", "did you mean `time`?"),
        ("function: risk", "funcion: risk", 13, "deployments.risk.funcion", "did you mean `function`?"),
        ("schema: sch", "schema_file: sch", 10, "topics.sensors/readings.schema_file", "did you mean `schema`?"),
        (
            "retention: {time: 7d, size: 10GB}",
            "schema: {enforced: true}",
            6,
            "namespaces.sensors.schema.enforced",
            "enforce",
        ),
        # missing keys
        ("tenant: acme\n", "", 1, None, "the key `tenant` is missing | add `tenant: …`"),
        ("    partitions: 4\n", "", 8, "topics.sensors/readings", "the key `partitions` is missing"),
        ("    namespace: sensors\n", "", 12, "deployments.risk", "the key `namespace` is missing"),
        # wrong types
        ("[west, east]", "west", 2, "clusters", "expected a list (`[a, b]` or lines of `- a`), not 'west'"),
        ("[west, east]", "[west, 5]", 2, "clusters[1]", 'expected text, not 5 | write it in quotes: "5"'),
        ("[west, east]", "[]", 2, "clusters", "this is empty | give at least one"),
        ("[west, east]", "", 2, "clusters", "expected a list (`[a, b]` or lines of `- a`), not nothing"),
        (
            "partitions: 4",
            'partitions: "4"',
            9,
            "topics.sensors/readings.partitions",
            "expected a whole number, not '4'",
        ),
        (
            "partitions: 4",
            "partitions: 4.5",
            9,
            "topics.sensors/readings.partitions",
            "expected a whole number, not 4.5",
        ),
        (
            "partitions: 4",
            "partitions: yes",
            9,
            "topics.sensors/readings.partitions",
            "expected a whole number, not True",
        ),
        (
            "partitions: 4",
            "partitions: 0",
            9,
            "topics.sensors/readings.partitions",
            "greater than or equal to 1, not 0",
        ),
        ("partitions: 4", "partitions: 4000", 9, "topics.sensors/readings.partitions", "less than or equal to 1024"),
        ("  sensors:\n    retention: {time: 7d, size: 10GB}", "  - sensors", 4, "namespaces", "expected a mapping"),
        (
            "{time: 7d, size: 10GB}",
            "7d",
            6,
            "namespaces.sensors.retention",
            "expected a mapping (lines of `key: value`)",
        ),
        (
            "retention: {time: 7d, size: 10GB}",
            "deduplication: 'yes'",
            6,
            "namespaces.sensors.deduplication",
            "true or false",
        ),
        (
            "schema: schemas/reading.v1.avsc",
            "schema: [a]",
            10,
            "topics.sensors/readings.schema",
            "expected a file path, not a list",
        ),
        # values that are not of their kind
        ("tenant: acme", "tenant: Acme", 1, "tenant", "expected a name, not 'Acme' | lower-case"),
        (
            "time: 7d",
            "time: 7 days",
            6,
            "namespaces.sensors.retention.time",
            "expected a duration such as 7d, with a unit of s, m, h, d, w, not '7 days'",
        ),
        ("time: 7d", "time: -5", 6, "namespaces.sensors.retention.time", "expected a duration"),
        (
            "size: 10GB",
            "size: 10gb",
            6,
            "namespaces.sensors.retention.size",
            "expected a size such as 10GB, with a unit of B, KB, MB, GB, TB, not '10gb'",
        ),
        (
            "sensors/readings:\n    part",
            "readings:\n    part",
            8,
            "topics.readings",
            "expected a topic (`NAMESPACE/TOPIC`), not 'readings'",
        ),
        (
            "readings: sensors/readings",
            "readings: persistent://acme/sensors/readings",
            16,
            "deployments.risk.inputs.readings",
            "without the tenant",
        ),
        (
            "retention: {time: 7d, size: 10GB}",
            "schema: {compatibility: backwards}",
            6,
            "namespaces.sensors.schema.compatibility",
            "expected 'backward', 'forward'",
        ),
        (
            "retention: {time: 7d, size: 10GB}",
            "permissions: {app: [publish]}",
            6,
            "namespaces.sensors.permissions.app[0]",
            "expected 'produce', 'consume'",
        ),
        (
            "retention: {time: 7d, size: 10GB}",
            "permissions: {'a b': [produce]}",
            6,
            "namespaces.sensors.permissions.a b",
            "expected a role, not 'a b'",
        ),
        # YAML itself
        ("home: west", "home: west\nhome: east", 4, "home", "the key stands twice (first in line 3) | remove one"),
        ("home: west", "home: west\n5: x", 4, "5", "a key must be text"),
        ("home: west", "home: west\non: x", 4, "on", 'a key must be text | write it in quotes: "on"'),
        ("home: west", "home: [west", 4, None, "not YAML"),
        ("home: west", "\thome: west", 3, None, "indent with spaces, not tabs"),
        ("home: west", "home: *west", 3, None, "not YAML: found undefined alias"),
        ("home: west", "home: !!python/name:os.system", 3, None, "not YAML"),
    ],
)
def test_a_mistake(tmp_path, old, new, line, key, fragment):
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new, 1))
    first, *others = problems(path)
    assert others == []
    assert (first.file, first.line, first.key) == (path, line, key)
    assert fragment in told(first)


@pytest.mark.parametrize("text", ["", "# nothing\n", "- a\n", "text\n"])
def test_a_file_that_is_no_mapping(tmp_path, text):
    assert "the file holds no mapping" in problems(write(tmp_path, text))[0].what


def test_two_documents_are_refused(tmp_path):
    (problem,) = problems(write(tmp_path, GOOD + "---\ntenant: other\n"))
    assert problem.line == len(GOOD.splitlines()) + 1


def test_all_mistakes_are_told_in_the_order_of_the_file(tmp_path):
    path = write(tmp_path, GOOD.replace("home: west", "colour: red").replace("partitions: 4", "partitions: x"))
    found = problems(path)
    assert [(problem.line, problem.key) for problem in found] == [
        (1, None),
        (3, "colour"),
        (9, "topics.sensors/readings.partitions"),
    ]
    with pytest.raises(SpecError) as caught:
        load_tenant(path)
    assert str(caught.value).splitlines() == [
        f"{path}:1: the key `home` is missing (add `home: …`)",
        f"{path}:3 colour: unknown key (known here: tenant, admin_roles, clusters, home, namespaces, "
        "topics, deployments, views, api)",
        f"{path}:9 topics.sensors/readings.partitions: expected a whole number, not 'x'",
    ]


def test_aliases_and_merges_work_and_keep_their_lines(tmp_path):
    text = GOOD.replace(
        "retention: {time: 7d, size: 10GB}", "retention: &kept {time: 7d, size: 10GB}\n  more:\n    retention: *kept"
    )
    tenant = load_tenant(write(tmp_path, text))
    assert tenant.namespaces["more"] == tenant.namespaces["sensors"]
    assert tenant.source.line("namespaces", "more", "retention") == 8
    merged = GOOD.replace("retention: {time: 7d, size: 10GB}", "retention: {<<: {time: 1d, size: 1GB}, time: 7d}")
    assert load_tenant(write(tmp_path, merged)).namespaces["sensors"].retention.size == 1 << 30


def test_an_alias_that_holds_itself_is_told_not_followed(tmp_path):
    found = problems(write(tmp_path, GOOD.replace("home: west", "home: &h [*h]")))
    assert (found[0].line, found[0].key) == (3, "home")


def test_a_bomb_of_aliases_is_cheap(tmp_path):
    layers = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 30))
    found = problems(write(tmp_path, f"{GOOD}l0: &l0 x\n{layers}\n"))
    assert {problem.what for problem in found} == {"unknown key"}


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(SpecError, match="cannot read the file: No such file"):
        load_tenant(tmp_path / "none.yaml")


def test_a_file_that_is_not_text(tmp_path):
    (tmp_path / "acme.yaml").write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8" in problems(tmp_path / "acme.yaml")[0].what


def test_where_a_tenant_was_read_plays_no_part_in_comparing(tmp_path):
    path = write(tmp_path, GOOD)
    loaded = load_tenant(path)
    (tmp_path / "copy").mkdir()
    assert loaded == Tenant.model_validate(loaded.model_dump(by_alias=True))
    assert hash(loaded.home) == hash(load_tenant(path).home)


def test_paths_start_at_the_file_and_keep_symbolic_links(tmp_path):
    (tmp_path / "tenants").mkdir()
    (tmp_path / "real").mkdir()
    (tmp_path / "schemas").symlink_to(tmp_path / "real")
    path = write(tmp_path / "tenants", GOOD.replace("schemas/", "../schemas/"))
    assert load_tenant(path).topics["sensors/readings"].schema_file == tmp_path / "schemas" / "reading.v1.avsc"
    absolute = write(tmp_path / "tenants", GOOD.replace("schemas/", "/elsewhere/"))
    assert load_tenant(absolute).topics["sensors/readings"].schema_file == Path("/elsewhere/reading.v1.avsc")


def test_a_relative_path_to_the_spec_still_gives_absolute_paths(tmp_path, monkeypatch):
    write(tmp_path, GOOD)
    monkeypatch.chdir(tmp_path)
    assert load_tenant(Path("acme.yaml")).topics["sensors/readings"].schema_file.is_absolute()


# ── folders ───────────────────────────────────────────────────────────────────────────────────


def test_a_folder_of_tenants(tmp_path):
    write(tmp_path, GOOD)
    write(tmp_path, GOOD.replace("acme", "globex"), "globex.yml")
    assert list(load_tenants(tmp_path)) == ["acme", "globex"]


def test_mistakes_of_all_files_are_told_together(tmp_path):
    write(tmp_path, GOOD.replace("home:", "hom:"), "a.yaml")
    write(tmp_path, GOOD.replace("partitions: 4", "partitions: x"), "b.yaml")
    write(tmp_path, GOOD, "c.yaml")
    with pytest.raises(SpecError) as caught:
        load_tenants(tmp_path)
    assert [problem.file.name for problem in caught.value.problems] == ["a.yaml", "b.yaml"]


def test_one_tenant_in_two_files(tmp_path):
    write(tmp_path, GOOD, "a.yaml")
    write(tmp_path, GOOD, "b.yaml")
    with pytest.raises(SpecError) as caught:
        load_tenants(tmp_path)
    assert (caught.value.file, caught.value.line) == (tmp_path / "b.yaml", 1)
    assert "a.yaml too" in caught.value.what


@pytest.mark.parametrize("load", [load_tenants, load_functions])
def test_a_folder_that_is_not_there(tmp_path, load):
    with pytest.raises(SpecError, match="no such folder"):
        load(tmp_path / "none")


# ── platform and functions ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "line", "fragment"),
    [
        (
            "clusters:\n  west:\n    admin_url: localhost\n    broker_url: pulsar://h:1\n",
            3,
            "an http:// or https:// URL",
        ),
        (
            "clusters:\n  west:\n    admin_url: http://h\n    broker_url: http://h\n",
            4,
            "a pulsar:// or pulsar+ssl:// URL",
        ),
        ("clusters: {}\n", 1, "this is empty"),
        (
            "clusters:\n  west:\n    admin_url: http://h\n    broker_url: pulsar://h\n    tokens: {}\n",
            5,
            "set exactly one of secret_key_file and public_key_file",
        ),
        (
            "clusters:\n  west:\n    admin_url: http://h\n    broker_url: pulsar://h\n    token: abc\n",
            5,
            "did you mean `tokens`?",
        ),
    ],
)
def test_mistakes_in_a_platform_file(tmp_path, text, line, fragment):
    path = write(tmp_path, text, "platform.yaml")
    with pytest.raises(SpecError) as caught:
        load_platform(path)
    assert caught.value.line == line
    assert fragment in told(caught.value)


def test_no_platform_file_says_how_to_get_one(tmp_path):
    with pytest.raises(SpecError, match="local up"):
        load_platform(tmp_path / "platform.yaml")


FUNCTION = """\
    name: risk
    description: Risk of failure.
    class: function.Risk
    inputs:
      readings: {schema: schemas/reading.v1.avsc}
    sample: sample/events.jsonl
    """


def test_a_function(tmp_path):
    (tmp_path / "risk").mkdir()
    write(tmp_path / "risk", FUNCTION, "function.yaml")
    function = load_functions(tmp_path)["risk"]
    assert function.inputs["readings"].schema_file == tmp_path / "risk" / "schemas" / "reading.v1.avsc"
    assert function.sample == tmp_path / "risk" / "sample" / "events.jsonl"


def test_a_function_in_a_folder_of_another_name(tmp_path):
    write(tmp_path, FUNCTION, "function.yaml")
    with pytest.raises(SpecError) as caught:
        load_function(tmp_path)
    assert (caught.value.line, caught.value.key) == (1, "name")


def test_a_class_without_module(tmp_path):
    write(tmp_path, FUNCTION.replace("function.Risk", "Risk"), "function.yaml")
    with pytest.raises(SpecError, match=r"expected a class \(`module.Class`\)"):
        load_function(tmp_path)


def test_the_shipped_files_load():
    root = Path(__file__).parents[3]
    assert set(load_tenants(root / "tenants")) >= {"acme", "globex"}
    assert set(load_platform(root / "deploy" / "platform.example.yaml").clusters) == {"west", "east"}
    assert load_functions(root / "functions")
