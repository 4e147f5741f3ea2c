"""The deployment's files agree with each other and with the code."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from domain.runtime.settings import Settings
from ops import settings_docs

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "ops" / "deploy"
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
OWN = [name for name, service in COMPOSE["services"].items() if service["image"].startswith("frt-stress")]


def test_the_table_of_settings_is_the_models():
    page = (DEPLOY / "README.md").read_text()
    assert f"{settings_docs.BEGIN}\n\n{settings_docs.settings_table()}\n{settings_docs.END}" in page, (
        "the settings have changed: put `frt config --docs` between the marks of ops/deploy/README.md"
    )
    assert settings_docs.undocumented() == []


@pytest.mark.parametrize(
    "source", ["docker-compose.yml", "ops/deploy/env.example", "ops/deploy/settings.env", "ops/deploy/Dockerfile"]
)
def test_only_settings_that_exist_are_named(source):
    known = {f"FRT_{name.upper()}" for name in Settings.model_fields} | {"FRT_PUBLISH"}
    assert set(re.findall(r"\bFRT_[A-Z_]+\b", (ROOT / source).read_text())) <= known


def test_the_services_of_the_design_are_there():
    assert {"redis", "localnet", "api", "cycles", "control", "supervisor", "flower", "prometheus", "grafana"} <= set(
        COMPOSE["services"]
    )
    redis = COMPOSE["services"]["redis"]["command"]
    for words in (["--appendonly", "yes"], ["--maxmemory-policy", "noeviction"], ["--requirepass"]):
        at = redis.index(words[0])
        assert redis[at : at + len(words)] == words


def test_every_service_restarts_is_limited_and_logs_within_bounds():
    for name, service in COMPOSE["services"].items():
        assert service["restart"] == ("no" if name == "prepare" else "unless-stopped"), name
        assert "max-size" in service["logging"]["options"], name
        assert name == "prepare" or service["healthcheck"]["test"], name
        if name != "prepare":
            assert "memory" in service["deploy"]["resources"]["limits"], name
    for name in OWN:
        assert COMPOSE["services"][name]["cap_drop"] == ["ALL"]
        assert COMPOSE["services"][name]["read_only"] is True


def mounts(service) -> dict[str, str]:
    """Where in the container -> volume or file of the machine."""
    return {
        parts[1]: parts[0]
        for parts in (re.sub(r"\$\{\w+:-(.*?)\}", r"\1", each).split(":") for each in service["volumes"])
    }


#: What each image keeps where; of our own the Dockerfile says it.
KEPT_AT = {"redis": "/data", "prometheus": "/prometheus", "grafana": "/var/lib/grafana"}


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_whatever_a_service_keeps_lies_on_its_volume(name):
    service = COMPOSE["services"][name]
    where = mounts(service)
    kept = "/data" if name in OWN else KEPT_AT[name]
    assert where[kept] in COMPOSE["volumes"]
    words = [*service.get("command", []), *(service.get("environment") or {}).values()]
    paths = [path for word in words for path in re.findall(r"(?:^|=)(/[\w./-]+)", str(word))]
    assert [path for path in paths if not any(path == at or path.startswith(f"{at}/") for at in where)] == []
    for source in set(where.values()) - set(COMPOSE["volumes"]):
        assert (ROOT / source).exists() or source.endswith("prometheus.key"), source


def test_our_image_has_the_folder_of_the_volume_and_its_owner():
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    [volume] = re.findall(r"^VOLUME (\S+)$", dockerfile, re.MULTILINE)
    assert f"install -d -o frt -g frt -m 0700 {volume}\n" in dockerfile
    assert f"FRT_DATA_DIR={volume}\n" in dockerfile
    for name in OWN:
        assert mounts(COMPOSE["services"][name]) == {volume: "data"}
        if name != "localnet":
            assert COMPOSE["services"][name]["environment"]["FRT_DATA_DIR"] == volume
    assert COMPOSE["services"]["localnet"]["command"][-2:] == ["--state", f"{volume}/localnet.state"]


def test_neither_image_nor_installation_takes_secrets_or_data_along():
    shipped = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    installed = set(re.search(r'^parts="(.*)"$', (DEPLOY / "install.sh").read_text(), re.MULTILINE)[1].split())
    assert shipped == installed
    assert shipped == {"api", "domain", "ops", "tasks", "requirements", "scenarios", "frt", "pyproject.toml"}
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {".env", "/ops/deploy/*.key", "/data/"} <= set(ignored)


def test_only_the_api_is_published_beyond_loopback():
    for name, service in COMPOSE["services"].items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:") or (name == "api" and port == "${FRT_PUBLISH:-127.0.0.1:8080}:8080")
    assert "ports" not in COMPOSE["services"]["redis"]


def test_secrets_have_no_defaults():
    for name in ("REDIS_PASSWORD", "FRT_SEALING_PASSPHRASE", "FRT_API_KEYS", "FLOWER_AUTH", "GRAFANA_PASSWORD"):
        uses = re.findall(rf"\${{{name}(.*?)}}", (ROOT / "docker-compose.yml").read_text())
        assert uses
        assert all(use.startswith(":?") for use in uses)


def test_images_are_pinned_and_nobody_is_root():
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    images = [service["image"] for service in COMPOSE["services"].values()]
    images += re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)
    assert all(re.search(r":v?\d+\.\d+", image) for image in images), images
    [user] = re.findall(r"^USER (\d+):\d+$", dockerfile, re.MULTILINE)
    assert f"useradd --uid {user} --gid frt " in dockerfile
    assert int(user) > 0


@pytest.mark.parametrize("unit", sorted((DEPLOY / "systemd").glob("*.service")), ids=lambda path: path.name)
def test_units_run_a_command_that_exists_as_their_own_user(unit):
    text = unit.read_text()
    command = re.search(r"^ExecStart=.*/opt/frt-stress/frt ([a-z]+)", text, re.MULTILINE)
    assert command is not None
    from ops.cli import app

    assert command[1] in {each.name for each in app.registered_commands}
    assert "User=frt" in text
    assert "RestartSec=5" in text or "until /opt/frt-stress/frt prepare; do sleep 5; done" in text
    assert "ProtectSystem=strict" in text


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_accepts_the_units(tmp_path):
    for unit in (DEPLOY / "systemd").iterdir():
        (tmp_path / unit.name).write_text(unit.read_text().replace("=/opt/frt-stress/frt ", f"={ROOT / 'frt'} "))
    command = ["systemd-analyze", "verify", *map(str, sorted(tmp_path.iterdir()))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def pins(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", (ROOT / "requirements" / name).read_text(), re.MULTILINE))


def test_the_lock_files_agree_and_hold_what_the_project_names():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    run, dev, traces = pins("run.lock"), pins("dev.lock"), pins("traces.lock")
    assert run.items() <= dev.items()
    assert traces.items() <= dev.items()
    for lock, wanted in (
        (run, project["project"]["dependencies"]),
        (dev, project["dependency-groups"]["dev"]),
        (traces, project["project"]["optional-dependencies"]["traces"]),
    ):
        assert {re.match(r"[a-z0-9-]+", text)[0] for text in wanted} <= set(lock)


def test_the_install_script_is_shell():
    subprocess.run(["sh", "-n", str(DEPLOY / "install.sh")], check=True)


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="there is no docker-compose here")
def test_compose_itself_accepts_the_file(tmp_path):
    secrets = ("REDIS_PASSWORD", "FRT_SEALING_PASSPHRASE", "FRT_API_KEYS", "FLOWER_AUTH", "GRAFANA_PASSWORD")
    env = dict.fromkeys(secrets, "x") | {"PATH": "/usr/bin:/bin"}
    command = ["docker-compose", "-f", str(ROOT / "docker-compose.yml"), "config", "-q"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
