from __future__ import annotations

from pathlib import Path

import yaml

from pulsar_pipeline.local import config, launch, platform_file
from pulsar_pipeline.local.config import Credentials
from pulsar_pipeline.local.layout import ClusterLayout, Layout
from pulsar_pipeline.local.ports import Ports
from pulsar_pipeline.spec.model import Platform

LAYOUT = Layout(Path("/srv/local"))
WEST = LAYOUT.cluster("west")
PORTS = Ports(admin=20_001, broker=20_002, bookie=20_003)
CREDENTIALS = Credentials(LAYOUT.token_key, LAYOUT.admin_token)


def worker() -> dict[str, object]:
    return config.worker_settings(
        WEST, PORTS, CREDENTIALS, python_instance=Path("/opt/main.py"), any_jar=Path("/cache/any.jar")
    )


def test_broker_demands_tokens_and_keeps_what_it_acknowledged() -> None:
    settings = config.broker_settings(WEST, PORTS, CREDENTIALS)
    assert settings["authenticationEnabled"] is True
    assert settings["authorizationEnabled"] is True
    assert settings["superUserRoles"] == "admin"
    assert settings["journalSyncData"] is True
    assert settings["bindAddress"] == "127.0.0.1"


def test_a_full_message_fits_a_bookies_frame() -> None:
    settings = config.broker_settings(WEST, PORTS, CREDENTIALS)
    assert settings["nettyMaxFrameSizeBytes"] == 5_253_120
    assert settings["nettyMaxFrameSizeBytes"] > settings["maxMessageSize"]


def test_no_token_is_in_a_config_only_the_path_of_its_file() -> None:
    written = config.render_properties(config.broker_settings(WEST, PORTS, CREDENTIALS))
    assert "brokerClientAuthenticationParameters=file:///srv/local/secrets/admin.token" in written
    assert "tokenSecretKey=file:///srv/local/secrets/token.key" in written
    assert worker()["clientAuthenticationParameters"] == "file:///srv/local/secrets/admin.token"
    assert "functionAuthProviderClassName" not in worker()


def test_worker_starts_our_instance_and_sees_a_dead_one_soon() -> None:
    settings = worker()
    assert settings["functionRuntimeFactoryConfigs"]["pythonInstanceLocation"] == "/opt/main.py"  # type: ignore[index]
    assert settings["instanceLivenessCheckFreqMs"] == 3000
    assert settings["authorizationEnabled"] is True


def test_properties_are_javas() -> None:
    assert config.render_properties({"on": True, "off": False, "n": 3, "path": "a\\b"}) == (
        "on=true\noff=false\nn=3\npath=a\\\\b\n"
    )


def test_worker_yaml_reads_back() -> None:
    assert yaml.safe_load(config.render_yaml(worker())) == worker()


def test_jvm_is_bounded_and_called_with_the_clusters_own_files() -> None:
    arguments = launch.jvm_arguments(WEST, PORTS, [Path("/cache/b.jar"), Path("/cache/a.jar")])
    assert "-Xmx512m" in arguments
    assert "-XX:MaxDirectMemorySize=512m" in arguments
    assert arguments[arguments.index("-cp") + 1] == "/cache/a.jar:/cache/b.jar"
    assert arguments[arguments.index("--config") + 1] == "/srv/local/clusters/west/conf/standalone.conf"
    assert arguments[arguments.index("--bookkeeper-port") + 1] == "20003"


def test_argument_file_quotes_for_java() -> None:
    assert launch.argument_file(["-cp", 'a "b" \\c']) == '"-cp"\n"a \\"b\\" \\\\c"\n'


def test_instances_find_our_python_first_and_their_tokens_by_a_folder() -> None:
    environment = launch.environment(
        WEST,
        java=Path("/usr/lib/jvm/bin/java"),
        python=Path("/venv/bin/python"),
        function_tokens=LAYOUT.function_tokens,
        cache=Path("/cache"),
        home=Path("/home/me"),
        log_level="INFO",
    )
    assert environment["PATH"].split(":")[:2] == ["/venv/bin", "/usr/lib/jvm/bin"]
    assert environment["PULSAR_PIPELINE_FUNCTION_TOKENS"] == "/srv/local/secrets/functions"
    assert environment["PULSAR_PIPELINE_CACHE"] == "/cache"
    assert environment["PULSAR_HOME"] == str(WEST.root)


def test_platform_file_is_a_platform_with_paths_relative_to_itself() -> None:
    document = yaml.safe_load(platform_file.render(LAYOUT, {"west": PORTS}))
    west = Platform.model_validate(document).clusters["west"]
    assert west.admin_url == "http://127.0.0.1:20001"
    assert west.broker_url == "pulsar://127.0.0.1:20002"
    assert west.auth is not None
    assert west.tokens is not None
    assert str(west.auth.token_file) == "secrets/admin.token"
    assert str(west.tokens.secret_key_file) == "secrets/token.key"


def test_platform_file_is_only_written_when_it_changes(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    platform_file.write(layout, {"west": PORTS})
    before = layout.platform.stat().st_mtime_ns
    platform_file.write(layout, {"west": PORTS})
    assert layout.platform.stat().st_mtime_ns == before
    platform_file.write(layout, {"west": PORTS, "east": PORTS})
    assert set(yaml.safe_load(layout.platform.read_text())["clusters"]) == {"west", "east"}


def test_a_folder_knows_the_clusters_it_has(tmp_path: Path) -> None:
    layout = Layout.of(tmp_path / "new")
    assert layout.existing() == ()
    for name in ("west", "east"):
        layout.cluster(name).root.mkdir(parents=True)
    assert layout.existing() == ("east", "west")
    assert isinstance(layout.cluster("west"), ClusterLayout)
