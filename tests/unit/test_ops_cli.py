"""The command line: one clear line and exit code 1 for what a person can put right; the environment's builder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from domain.errors import StressError
from ops import environment
from ops.cli import main
from ops.commands.calls import parameters, service_url

ROOT = Path(__file__).resolve().parents[2]


def frt(monkeypatch, capsys, *arguments: str) -> tuple[int, str, str]:
    """Exit code, output and errors of one command line."""
    monkeypatch.setattr(sys, "argv", ["frt", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


def test_the_plan_of_a_large_machine_is_printed_and_nothing_starts(monkeypatch, capsys):
    code, out, _ = frt(monkeypatch, capsys, "worker", "--dry-run", "--cores", "32")
    assert code == 0
    assert "28 x 4 = 112" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "nowhere.toml"), "nowhere.toml cannot be read"),
        (("run", "--duration", "soon"), "--duration"),
        (("run", "--program", "nowhere.so"), "nowhere.so"),
        (("worker", "--cores", "4"), "--dry-run"),
        (("call", "list_pools", "x"), "name=value"),
        (("program", "build", "--mutant", "3"), "--out"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_1(monkeypatch, capsys, tmp_path, arguments, said):
    monkeypatch.chdir(tmp_path)
    code, _, err = frt(monkeypatch, capsys, *arguments)
    assert code == 1
    assert err.startswith("frt: ")
    assert err.count("\n") == 1
    assert said in err
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_setting_is_named(monkeypatch, capsys):
    monkeypatch.setenv("FRT_NODS", "3")
    code, _, err = frt(monkeypatch, capsys, "config")
    assert (code, "FRT_NODES" in err) == (1, True)


def test_the_settings_are_shown_without_their_secrets(monkeypatch, capsys):
    monkeypatch.setenv("FRT_SEALING_KEY", "ab" * 32)
    monkeypatch.setenv("FRT_REDIS_URL", "redis://:hush@127.0.0.1:1/0")
    code, out, _ = frt(monkeypatch, capsys, "config")
    assert code == 0
    assert json.loads(out)["seed"] is None
    assert "hush" not in out
    assert "abab" not in out


def test_parameters_of_a_call_are_json_or_text():
    assert parameters(["a=5", 'b=["x"]', "c=true", "d=a_to_b", "e=x=y"]) == {
        "a": 5, "b": ["x"], "c": True, "d": "a_to_b", "e": "x=y"
    }  # fmt: skip
    with pytest.raises(StressError, match="given twice"):
        parameters(["a=1", "a=2"])


def test_a_service_that_has_ended_is_not_called(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path(".frt").mkdir()
    current = Path(".frt/current.json")
    current.write_text(json.dumps({"api_url": "http://127.0.0.1:1", "pid": 2**22 + 1}))
    assert service_url(None) == "http://127.0.0.1:8080"
    current.write_text(json.dumps({"api_url": "http://127.0.0.1:1", "pid": 1}))
    assert service_url(None) == "http://127.0.0.1:1"


def a_python(folder: Path) -> None:
    (folder / "bin").mkdir(parents=True, exist_ok=True)
    (folder / "bin" / "python").touch()


def test_the_environment_is_built_once_and_stamped_last(monkeypatch, tmp_path):
    built: list[Path] = []

    def build(target: Path, root: Path, lock: Path) -> None:
        assert not (target / environment.STAMP_NAME).exists()
        assert lock == tmp_path / "requirements" / "run.lock"
        built.append(root)
        a_python(target)

    monkeypatch.setattr(environment, "build", build)
    target = tmp_path / "venv"
    for _ in range(2):
        assert environment.main([str(target), str(tmp_path), "run", "run 1"]) == 0
    assert len(built) == 1
    assert (target / environment.STAMP_NAME).read_text() == "run 1"


def test_an_installation_that_fails_is_tried_again_by_the_next_call(monkeypatch, tmp_path, capsys):
    def broken(target: Path, *_: Path) -> None:
        a_python(target)
        raise environment.InstallError("no network")

    monkeypatch.setattr(environment, "build", broken)
    arguments = [str(tmp_path / "venv"), str(tmp_path), "run", "run 1"]
    assert environment.main(arguments) == 1
    assert "no network" in capsys.readouterr().err
    monkeypatch.setattr(environment, "build", lambda target, *_: a_python(target))
    assert environment.main(arguments) == 0


def test_an_environment_of_another_lock_file_is_built_anew(monkeypatch, tmp_path):
    a_python(tmp_path / "venv")
    (tmp_path / "venv" / environment.STAMP_NAME).write_text("run 1")
    built = []
    monkeypatch.setattr(environment, "build", lambda *_: built.append(1))
    assert environment.main([str(tmp_path / "venv"), str(tmp_path), "run", "run 2"]) == 0
    assert built == [1]


def test_a_run_is_never_mixed_with_an_earlier_one(tmp_path):
    from domain.errors import StressError
    from ops.commands.options import unused

    assert unused(tmp_path) == tmp_path
    assert unused(tmp_path / "not-there-yet") == tmp_path / "not-there-yet"
    (tmp_path / "report.json").write_text("{}")
    with pytest.raises(StressError, match="earlier run"):
        unused(tmp_path)


def test_a_python_without_venv_and_a_folder_that_may_not_be_written_are_told_in_one_line(monkeypatch, tmp_path, capsys):
    def no_ensurepip(*_, **__) -> None:
        raise subprocess.CalledProcessError(1, "ensurepip")

    monkeypatch.setattr(environment.venv, "create", no_ensurepip)
    assert environment.main([str(tmp_path / "venv"), str(tmp_path), "run", "run 1"]) == 1
    assert "apt-get install python3-venv" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert environment.main([str(tmp_path / "file" / "venv"), str(tmp_path), "run", "run 1"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"FRT_PYTHON": "/nowhere/python", "PATH": os.environ["PATH"]}, "FRT_PYTHON=/nowhere/python is not a Python"),
        ({"PATH": "/nowhere"}, "Python 3.11 or newer is needed and was not found"),
    ],
)
def test_the_script_says_which_python_it_misses(tmp_path, environ, said):
    for name in ("dirname", "cat", "cksum", "tr"):
        (tmp_path / name).symlink_to(shutil.which(name))
    env = {"FRT_VENV": str(tmp_path / "venv"), **environ, "PATH": f"{tmp_path}:{environ['PATH']}"}
    done = subprocess.run(
        ["/bin/sh", str(ROOT / "frt"), "doctor"], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert said in done.stderr


def test_a_file_system_that_refuses_is_one_line(monkeypatch, capsys, tmp_path):
    (tmp_path / "file").touch()
    code, _, err = frt(monkeypatch, capsys, "run", "--out", str(tmp_path / "file" / "out"))
    assert code == 1
    assert err.startswith("frt: ")
    assert "Not a directory" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"FRT_API_KEYS": "nonsense"}, "key"),
        ({"FRT_API_KEYS_FILE": "/nowhere/keys"}, "/nowhere/keys"),
        ({"FRT_TLS_CERTIFICATE": "/nowhere/c.pem", "FRT_TLS_KEY": "/nowhere/k.pem"}, "tls_certificate"),
    ],
)
def test_a_web_server_that_cannot_be_safe_says_so_in_one_line(monkeypatch, capsys, environ, said):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    code, _, err = frt(monkeypatch, capsys, "api")
    assert code == 1
    assert err.startswith("frt: ")
    assert err.count("\n") == 1
    assert said in err
