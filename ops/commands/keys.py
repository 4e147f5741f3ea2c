"""`frt keys`: the key that seals the wallets' keys."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep
from typing import Annotated, Any, Final

import typer

from domain.chain.keystore import (
    SEALING_KEY_BYTES,
    KeystoreError,
    Sealer,
    create_secret,
    load_sealing_key,
    put_in_place,
)
from domain.chain.passphrase import key_of_passphrase, read_passphrase
from domain.runtime.settings import Settings
from domain.runtime.wiring import build_sealer, build_store, passphrase_parameters
from ops.commands.options import ConfigOption, settings_maker

SYNC_S: Final = 2.0  # an append-only file is synced every second

app = typer.Typer(no_args_is_help=True)


@app.callback()
def keys() -> None:
    """The key that seals the wallets' keys."""


@app.command()
def rotate(
    out: Annotated[Path | None, typer.Option(help="Folder of a service that `frt up --out` made.")] = None,
    new_key_file: Annotated[Path | None, typer.Option(help="File (mode 0600) with the new sealing key.")] = None,
    new_passphrase_file: Annotated[Path | None, typer.Option(help="File (mode 0600) with a new passphrase.")] = None,
    config: ConfigOption = None,
) -> None:
    """Seal every wallet key anew. Stop the service first; after an interruption run it again."""
    from tasks.rotate import Rotation

    maker = settings_maker(config)
    overrides: dict[str, Any] = {} if out is None else {"data_dir": out.resolve() / "data"}
    given = maker({}).model_fields_set
    settings = maker(overrides)
    if new_key_file is not None and new_passphrase_file is not None:
        raise KeystoreError("name --new-key-file or --new-passphrase-file, not both")
    if not settings.data_dir.is_dir():
        raise KeystoreError(f"there is no data folder {settings.data_dir}")
    old, parameters, pending = build_sealer(settings), passphrase_parameters(settings), None
    if new_passphrase_file is not None:
        pending = parameters.with_name(parameters.name + ".new")
        new = Sealer(key_of_passphrase(read_passphrase(new_passphrase_file), pending, create=True))
        target, advice = parameters, f"set sealing_passphrase_file to {new_passphrase_file}"
    elif new_key_file is not None:
        new = Sealer(load_sealing_key(new_key_file))
        target, advice = new_key_file, f"set sealing_key_file to {new_key_file}, or sealing_key to its content"
    else:
        target, advice = settings.sealing_key_file.resolve(), ""
        pending = _pending_key_file(settings, target)
        new = Sealer(load_sealing_key(pending))
    with _redis(settings, out, own="redis_url" not in given) as effective:
        done = Rotation(old, new).run(build_store(effective), effective.data_dir, effective.core_wallet)
    if pending is not None:
        sleep(SYNC_S)  # a Redis of another machine has it on its disk by then
        put_in_place(pending, target)
    print(f"{done.keys} keys and {done.files} exports are sealed with the new key")
    if advice:
        print(advice)


def _pending_key_file(settings: Settings, target: Path) -> Path:
    """The key file that will take the place of the present one; what an interrupted rotation made is used again."""
    others = (settings.sealing_key, settings.sealing_passphrase, settings.sealing_passphrase_file)
    if any(other is not None for other in others):
        raise KeystoreError("the sealing key does not come from a file: name --new-key-file or --new-passphrase-file")
    pending = target.with_name(target.name + ".new")
    create_secret(pending, secrets.token_bytes(SEALING_KEY_BYTES).hex().encode() + b"\n")
    return pending


@contextmanager
def _redis(settings: Settings, out: Path | None, *, own: bool) -> Iterator[Settings]:
    """The configured Redis; for a folder of `frt up` the one that it keeps there, started for the time being."""
    if out is None or not own:
        yield settings
        return
    from ops.children import Children
    from ops.folder import HeldFolder
    from ops.redis_server import ROLE, choose_place, redis_spec

    with HeldFolder(out):
        place = choose_place(out / "redis")
        children = Children(out / "logs", Path.cwd())
        try:
            children.start([redis_spec(place)])
            yield settings.model_copy(update={"redis_url": place.url})
        finally:
            children.close(((ROLE,),))
