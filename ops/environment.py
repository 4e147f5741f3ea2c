"""Builds the virtual environment from a lock file; ./frt calls it by path with a bare Python, so standard library only.

`environment.py VENV ROOT LOCK STAMP`. Safe to call any number of times at once and to interrupt at any moment: the
stamp that says "complete" is written last, under a lock.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

STAMP_NAME = "frt-stamp"
PATH_FILE = "frt-stress.pth"


class InstallError(Exception):
    """A step of the installation failed; the message is for the person at the terminal."""


def main(arguments: list[str]) -> int:
    """Build or update the environment unless another call has just done it. 0, or 1 with one clear line."""
    target, root, lock, stamp = Path(arguments[0]).absolute(), Path(arguments[1]), arguments[2], arguments[3]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with (target.parent / f"{target.name}.lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if _complete(target, stamp):
                return 0
            build(target, root, root / "requirements" / f"{lock}.lock")
            partial = target / f"{STAMP_NAME}.new"
            partial.write_text(stamp)
            partial.replace(target / STAMP_NAME)
    except (InstallError, OSError) as error:
        _say(f"the environment could not be built: {error}")
        return 1
    except KeyboardInterrupt:
        _say("interrupted; the next call goes on")
        return 1
    return 0


def build(target: Path, root: Path, lock: Path) -> None:
    """Make ``target`` hold exactly what ``lock`` lists, and the checkout. Raises InstallError."""
    (target / STAMP_NAME).unlink(missing_ok=True)
    python = target / "bin" / "python"
    if not _usable(python):
        _say(f"creating {target}")
        shutil.rmtree(target, ignore_errors=True)
        try:
            venv.create(target, with_pip=True, symlinks=True)
        except subprocess.CalledProcessError:  # Debian's Python comes without ensurepip
            raise InstallError(
                "this Python has no venv; install it (Debian, Ubuntu: apt-get install python3-venv)"
            ) from None
    _say(f"installing what {lock.name} lists")
    _install(python, lock, root / "requirements" / "uv.lock")
    _add_checkout(python, root)


def _install(python: Path, lock: Path, installer_lock: Path) -> None:
    """With uv, which takes seconds; with pip when uv cannot be had or fails."""
    if _pip(python, installer_lock, quiet=True) == 0:
        uv = python.parent / "uv"
        command = [str(uv), "pip", "sync", "--quiet", "--require-hashes", "--python", str(python), str(lock)]
        if subprocess.run(command, check=False, env=_environment()).returncode == 0:
            return
        _say("uv failed; trying again with pip")
    if _pip(python, lock, quiet=False) != 0:
        raise InstallError(f"pip could not install {lock.name}; its own message is above")


def _pip(python: Path, lock: Path, *, quiet: bool) -> int:
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    output = subprocess.DEVNULL if quiet else None
    return subprocess.run(
        [*command, "-r", str(lock)], check=False, env=_environment(), stdout=output, stderr=output
    ).returncode


def _environment() -> dict[str, str]:
    """Without what a caller's own environment would mix in."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}


def _add_checkout(python: Path, root: Path) -> None:
    """The packages are imported from the checkout, so that an update of it needs no installation."""
    command = [str(python), "-I", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    (Path(site) / PATH_FILE).write_text(f"{root}\n")


def _usable(python: Path) -> bool:
    """Does the environment's interpreter start, and has it pip? A half-made environment has neither."""
    try:
        command = [str(python), "-I", "-c", "import pip"]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def _complete(target: Path, stamp: str) -> bool:
    try:
        return (target / STAMP_NAME).read_text() == stamp and (target / "bin" / "python").exists()
    except OSError:
        return False


def _say(text: str) -> None:
    print(f"frt: {text}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
