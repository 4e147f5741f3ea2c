"""Settings: sources and their order, unknown names, limits, derived defaults, child processes, no secrets shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from domain.runtime.settings import Settings, is_local_host, load
from domain.runtime.settings_sources import SettingsError

SEALING_KEY = "5e" * 32
KEY_ENTRY = f"ops:full:sha256:{'ab' * 32}"


def test_defaults() -> None:
    settings = load({})
    assert (settings.api_bind, settings.api_port) == ("127.0.0.1", 8080)
    assert (settings.countdown_min_ms, settings.countdown_max_ms) == (750, 2_000)
    assert (settings.request_timeout_s, settings.stop_wait_s) == (30.0, 25.0)
    assert (settings.worker_pool, settings.worker_concurrency, settings.nodes) == ("threads", None, None)
    assert (settings.overdue_ms, settings.sweep_ms) == (2_000, 500)
    assert settings.seed is None
    assert settings.sol_threshold is None


def test_the_later_source_wins(tmp_path: Path) -> None:
    file = tmp_path / "frt.toml"
    file.write_text('seed = 1\napi_port = 1001\nslot_ms = 100\nrpc_urls = ["http://a:1", "http://b:2"]\n')
    env = {"FRT_CONFIG": str(file), "FRT_API_PORT": "1002", "FRT_SLOT_MS": "200", "HOME": "/x", "FRTX": "1"}
    settings = load(env, overrides={"slot_ms": 300, "nodes": None})
    assert (settings.seed, settings.api_port, settings.slot_ms) == (1, 1002, 300)
    assert settings.rpc_urls == ("http://a:1", "http://b:2")


def test_a_given_file_goes_before_the_variable(tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text("seed = 1")
    (tmp_path / "two.toml").write_text("seed = 2")
    assert load({"FRT_CONFIG": str(tmp_path / "one.toml")}, tmp_path / "two.toml").seed == 2


def test_the_process_environment_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRT_SEED", "7")
    monkeypatch.setenv("FRT_NO_SUCH_NAME", "7")
    assert load({}).seed is None


def test_an_empty_variable_counts_as_not_given() -> None:
    assert load({"FRT_SEED": "", "FRT_API_PORT": ""}).seed is None


@pytest.mark.parametrize("name", ["FRT_SEEDS", "FRT_FOO", "frt_foo", "FRT_", "FRT_redis_url"])
def test_an_unknown_variable_is_named(name: str) -> None:
    with pytest.raises(SettingsError, match=f"unknown environment variable {name}"):
        load({name: "1"})


def test_a_likely_misspelling_gets_a_hint() -> None:
    with pytest.raises(SettingsError, match=r"did you mean FRT_REDIS_URL\?"):
        load({"FRT_REDIS_URI": "x"})


def test_an_unknown_name_in_the_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "frt.toml"
    file.write_text("seed = 1\nsede = 2\n[network]\nport = 1\n")
    with pytest.raises(SettingsError, match="network, sede"):
        load({}, file)


def test_an_unknown_override_is_named() -> None:
    with pytest.raises(SettingsError, match="unknown setting speed"):
        load({}, overrides={"speed": 1})


@pytest.mark.parametrize(
    ("text", "reason"),
    [(None, "cannot be read"), ("seed = ", "is not TOML"), ("seed = true", "seed"), ('seed = "x"', "seed")],
)
def test_a_broken_file(tmp_path: Path, text: str | None, reason: str) -> None:
    file = tmp_path / "frt.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SettingsError, match=reason):
        load({}, file)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FRT_SEED", "-1"),
        ("FRT_SEED", str(2**64)),
        ("FRT_SEED", "1.5"),
        ("FRT_API_PORT", "65536"),
        ("FRT_COUNTDOWN_MIN_MS", "0"),
        ("FRT_WORKER_CONCURRENCY", "0"),
        ("FRT_WORKER_POOL", "gevent"),
        ("FRT_LOG_LEVEL", "loud"),
        ("FRT_LOG_FORMAT", "xml"),
        ("FRT_REDIS_URL", "http://127.0.0.1"),
        ("FRT_REDIS_URL", "redis://host:99999/0"),
        ("FRT_REDIS_URL", "redis://host/first"),
        ("FRT_RPC_URLS", "http://host:99999"),
        ("FRT_RPC_URLS", "127.0.0.1:8899"),
        ("FRT_RPC_URLS", "ws://127.0.0.1:8900"),
        ("FRT_RPC_URLS", ","),
        ("FRT_RPC_URLS", "[1"),
        ("FRT_API_KEY_REQUIRED", "perhaps"),
        ("FRT_PROGRAM_ID", "abc"),
        ("FRT_PROGRAM_ID", "0" * 44),
        ("FRT_QUEUE_CORES", "cycles=9-1"),
        ("FRT_QUEUE_CORES", "4-7"),
        ("FRT_WORKER_NICE", "20"),
        ("FRT_RESERVED_CORES", "-1"),
        ("FRT_REQUEST_TIMEOUT_S", "0"),
        ("FRT_SOL_THRESHOLD", "-1"),
    ],
)
def test_a_wrong_value_names_its_setting(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load({name: value})
    assert name.removeprefix("FRT_").lower() in str(caught.value).lower()
    assert "\n" not in str(caught.value)


def test_every_wrong_setting_is_named_at_once_and_no_value_is_shown() -> None:
    with pytest.raises(SettingsError) as caught:
        load({"FRT_SEED": "hunter2", "FRT_API_PORT": "hunter2", "FRT_RPC_URLS": "ftp://hunter2@x"})
    text = str(caught.value)
    assert "seed" in text
    assert "api_port" in text
    assert "rpc_urls" in text
    assert "hunter2" not in text
    assert "local_chain" not in text  # only follows from rpc_urls


@pytest.mark.parametrize(
    "overrides",
    [
        {"countdown_min_ms": 2_001},
        {"countdown_max_ms": 749},
        {"request_timeout_s": 10, "stop_wait_s": 11},
        {"api_bind": "0.0.0.0"},  # noqa: S104
        {"api_bind": "::"},
        {"api_bind": "host.example"},
    ],
)
def test_values_that_do_not_go_together(overrides: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        load({}, overrides=overrides)


def test_listening_to_everybody_is_a_decision() -> None:
    everybody = {"FRT_API_BIND": "0.0.0.0"}  # noqa: S104
    with pytest.raises(SettingsError, match="no API key is required"):
        load(everybody)
    with pytest.raises(SettingsError, match="no API key is required"):
        load(everybody | {"FRT_API_KEYS": KEY_ENTRY, "FRT_API_KEY_REQUIRED": "false"})
    assert load(everybody | {"FRT_API_KEYS": KEY_ENTRY}).api_key_required
    assert load(everybody | {"FRT_API_KEYS_FILE": "/etc/frt/keys"}).api_key_required
    assert not load(everybody | {"FRT_UNSAFE_REMOTE_WITHOUT_KEY": "true"}).api_key_required
    assert load({"FRT_API_BIND": "::1"}).api_bind == "::1"


def test_https_needs_its_files_and_takes_its_own_port() -> None:
    files = {"FRT_TLS_CERTIFICATE": "/c.pem", "FRT_TLS_KEY": "/k.pem"}
    assert (load({}).enable_https, load({}).listen_port) == (False, 8080)
    assert (load(files).enable_https, load(files).listen_port) == (True, 8443)
    assert load(files | {"FRT_ENABLE_HTTPS": "false"}).listen_port == 8080
    for env in ({"FRT_ENABLE_HTTPS": "true"}, {"FRT_TLS_CERTIFICATE": "/c.pem"}):
        with pytest.raises(SettingsError, match="tls_certificate and tls_key"):
            load(env)


@pytest.mark.parametrize(
    ("bind", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:8080"),  # noqa: S104
        ("::", "http://[::1]:8080"),
        ("::1", "http://[::1]:8080"),
        ("10.1.2.3", "http://10.1.2.3:8080"),
    ],
)
def test_this_machine_reaches_the_web_server_wherever_it_listens(bind: str, url: str) -> None:
    assert load({"FRT_API_BIND": bind, "FRT_API_KEYS": KEY_ENTRY}).local_url == url


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("allowed_networks", "192.168.1.0/24, fd00::/8,10.0.0.1", "192.168.1.5/24"),
        ("trusted_proxies", "127.0.0.1", "localhost"),
        ("cors_origins", "https://a.example,http://b:3000", "https://a.example/path"),
        ("cors_origins", '["https://a.example"]', "*"),
        ("allowed_hosts", "frt.example, 10.0.0.1", "a b"),
    ],
)
def test_lists_of_networks_and_origins(name: str, good: str, bad: str) -> None:
    assert len(getattr(load({f"FRT_{name.upper()}": good}), name)) >= 1
    with pytest.raises(SettingsError, match=name):
        load({f"FRT_{name.upper()}": bad})


def test_a_required_key_must_exist() -> None:
    with pytest.raises(SettingsError, match="api_keys"):
        load({"FRT_API_KEY_REQUIRED": "true"})
    shown = load({"FRT_API_KEYS": KEY_ENTRY, "FRT_API_KEY": "frt_secret"})
    assert "frt_secret" not in json.dumps(shown.safe_dump()) + repr(shown)
    assert shown.safe_dump()["api_keys"] == "(set)"


def test_the_chain_is_local_when_every_endpoint_is() -> None:
    local = load({"FRT_RPC_URLS": "http://127.0.0.1:8899, http://localhost:1,http://[::1]:2"})
    assert (local.local_chain, local.rpc_timeout_ms, local.lease_ms) == (True, 1_000, 3_000)
    cluster = load({"FRT_RPC_URLS": "http://127.0.0.1:8899,https://api.devnet.solana.com"})
    assert (cluster.local_chain, cluster.rpc_timeout_ms, cluster.lease_ms) == (False, 5_000, 11_000)
    told = load({"FRT_LOCAL_CHAIN": "false", "FRT_RPC_TIMEOUT_MS": "700"})
    assert (told.local_chain, told.rpc_timeout_ms) == (False, 700)
    assert is_local_host("127.9.9.9")
    assert not is_local_host("10.0.0.1")


def test_files_follow_the_data_folder() -> None:
    settings = load({"FRT_DATA_DIR": "/srv/frt", "FRT_CORE_WALLET": "/keys/id.json"})
    assert settings.sealing_key_file == Path("/srv/frt/sealing.key")
    assert settings.core_wallet == Path("/keys/id.json")
    assert load({"FRT_REQUEST_TIMEOUT_S": "5"}).stop_wait_s == 5.0


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        load({}).seed = 3  # type: ignore[misc]


def full_environment() -> dict[str, str]:
    return {
        "FRT_REDIS_URL": "redis://user:hunter2@redis.example:6379/3",
        "FRT_RPC_URLS": "https://me:hunter2@rpc.example/v2/hunter2hunter2hunter2,http://b.example?api-key=hunter2",
        "FRT_SEALING_KEY": SEALING_KEY,
        "FRT_SEED": str(2**64 - 1),
        "FRT_NODES": "3",
        "FRT_PREFLIGHT": "yes",
        "FRT_SOL_THRESHOLD": "0",
        "FRT_LOG_LEVEL": "DEBUG",
        "FRT_DATA_DIR": "relative/data",
        "FRT_REQUEST_TIMEOUT_S": "12.5",
    }


def test_a_child_process_gets_the_same_settings() -> None:
    settings = load(full_environment())
    child = load(settings.to_env())
    assert child.to_env() == settings.to_env()
    ours, theirs = settings.model_dump(), child.model_dump()
    for name in ("data_dir", "core_wallet", "sealing_key_file"):
        assert theirs.pop(name) == ours.pop(name).absolute()
    assert theirs == ours
    assert child.sealing_key is not None
    assert child.sealing_key.get_secret_value() == SEALING_KEY
    assert "FRT_CONFIG" not in settings.to_env()


def test_what_is_shown_holds_no_secret() -> None:
    settings = load(full_environment())
    dump = settings.safe_dump()
    for shown in (json.dumps(dump), repr(settings), str(settings)):
        assert "hunter2" not in shown
        assert SEALING_KEY not in shown
    assert set(dump) == set(Settings.model_fields)
    assert dump["redis_url"] == "redis://***@redis.example:6379/3"
    assert dump["rpc_urls"] == ["https://***@rpc.example/v2/***", "http://b.example?***"]
    assert dump["sealing_key"] == "(set)"
    assert dump["seed"] == 2**64 - 1
    assert load({}).safe_dump()["sealing_key"] is None


def test_every_setting_is_described_and_names_its_unit() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
    assert all(type(getattr(load({}), name)) is int for name in Settings.model_fields if name.endswith("_ms"))
