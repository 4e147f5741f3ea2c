"""The deployment's files agree with each other and with the code."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
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


@pytest.mark.parametrize("source", ["docker-compose.yml", "ops/deploy/env.example", "ops/deploy/Dockerfile"])
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
        if name != "prepare":
            assert "memory" in service["deploy"]["resources"]["limits"], name
    for name in OWN:
        assert COMPOSE["services"][name]["cap_drop"] == ["ALL"]
        assert COMPOSE["services"][name]["read_only"] is True


def test_only_the_api_is_published_beyond_loopback():
    for name, service in COMPOSE["services"].items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:") or (name == "api" and port == "${FRT_PUBLISH:-127.0.0.1:8080}:8080")
    assert "ports" not in COMPOSE["services"]["redis"]


def test_secrets_have_no_defaults():
    for name in ("REDIS_PASSWORD", "FRT_SEALING_PASSPHRASE", "FRT_API_KEYS"):
        uses = re.findall(rf"\${{{name}(.*?)}}", (ROOT / "docker-compose.yml").read_text())
        assert uses
        assert all(use.startswith(":?") for use in uses)


def test_images_are_pinned_and_nobody_is_root():
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    images = [service["image"] for service in COMPOSE["services"].values()]
    images += re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)
    assert all(re.search(r":v?\d+\.\d+", image) for image in images), images
    assert re.search(r"^USER frt$", dockerfile, re.MULTILINE)


@pytest.mark.parametrize("unit", sorted((DEPLOY / "systemd").glob("*.service")), ids=lambda path: path.name)
def test_units_run_a_command_that_exists_as_their_own_user(unit):
    text = unit.read_text()
    command = re.search(r"^ExecStart=/opt/frt-stress/frt (\S+)", text, re.MULTILINE)
    assert command is not None
    from ops.cli import app

    assert command[1] in {each.name for each in app.registered_commands}
    assert "User=frt" in text
    assert "RestartSec=5" in text
    assert "ProtectSystem=strict" in text


def test_the_dashboard_asks_for_metrics_that_exist():
    dashboard = json.loads((DEPLOY / "grafana/provisioning/dashboards/frt.json").read_text())
    asked = set()
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            asked |= set(re.findall(r"\b(?:frt|process)_[a-z0-9_]+", target["expr"]))
    sources = [*(ROOT / "domain" / "runtime").glob("*.py"), *(ROOT / "api").glob("*.py")]
    named = set().union(*(re.findall(r'"((?:frt|process)_[a-z0-9_]+)"', path.read_text()) for path in sources))
    bare = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in asked}
    assert len(bare) > 15
    assert bare - named - {"process_resident_memory_bytes"} == set()


def test_the_install_script_is_shell():
    subprocess.run(["sh", "-n", str(DEPLOY / "install.sh")], check=True)


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="there is no docker-compose here")
def test_compose_itself_accepts_the_file(tmp_path):
    env = {"REDIS_PASSWORD": "a", "FRT_SEALING_PASSPHRASE": "b", "FRT_API_KEYS": "c", "PATH": "/usr/bin:/bin"}
    command = ["docker-compose", "-f", str(ROOT / "docker-compose.yml"), "config", "-q"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
