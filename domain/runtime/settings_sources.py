"""Where settings come from: TOML file, environment, command line; the later wins. Unknown names are errors."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource
from pydantic_settings import SettingsError as SourceError

from domain.errors import StressError
from domain.runtime.settings import CONFIG_VARIABLE, ENV_PREFIX, Settings


class SettingsError(StressError):
    """The settings cannot be used. The message names every wrong setting and never holds a value."""


class _GivenEnvironment(EnvSettingsSource):
    """pydantic-settings' own parsing of an environment that is passed in."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._given = env
        super().__init__(Settings)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in self._given.items() if value != ""}


def load(env: Mapping[str, str], toml: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Settings from ``overrides`` (None values count as not given) over ``env`` over the file over the defaults.

    The file is ``toml``, else what FRT_CONFIG names. Raises SettingsError.
    """
    known = Settings.model_fields
    own = {name: value for name, value in env.items() if name.upper().startswith(ENV_PREFIX)}
    file = toml or (Path(own[CONFIG_VARIABLE]) if own.get(CONFIG_VARIABLE) else None)
    own.pop(CONFIG_VARIABLE, None)
    _refuse_unknown("environment variable", own, [f"{ENV_PREFIX}{name.upper()}" for name in known])
    from_file = _read(file) if file else {}
    _refuse_unknown(f"name in {file}:", from_file, known)
    _refuse_booleans(from_file)
    given = {name: value for name, value in (overrides or {}).items() if value is not None}
    _refuse_unknown("setting", given, known)
    try:
        from_env = _GivenEnvironment(own)()
        return Settings(**{**from_file, **from_env, **given})
    except ValidationError as error:
        raise SettingsError(_explain(error)) from None
    except (SourceError, ValueError) as error:
        raise SettingsError(f"settings: {type(error).__name__}: a value cannot be parsed") from None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"the settings file {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"the settings file {path} is not TOML: {error}") from None


def _refuse_unknown(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    names = list(known)
    unknown = sorted(name for name in given if name not in names)
    if not unknown:
        return
    close = difflib.get_close_matches(unknown[0], names, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise SettingsError(f"unknown {what} {', '.join(unknown)}{hint}")


def _refuse_booleans(from_file: Mapping[str, Any]) -> None:
    """Pydantic reads true as the number 1."""
    for name, value in from_file.items():
        if isinstance(value, bool) and Settings.model_fields[name].annotation is not bool:
            raise SettingsError(f"settings: {name}: true and false are not its values")


def _explain(error: ValidationError) -> str:
    """One line per wrong setting; pydantic's texts name limits and types, and hide the input."""
    lines = []
    for found in error.errors(include_url=False, include_input=False, include_context=False):
        if found["type"] == "default_factory_not_called":
            continue  # follows from another setting that is wrong and named
        name = ".".join(str(part) for part in found["loc"][:1])
        text = found["msg"].removeprefix("Value error, ")
        lines.append(f"{name} ({ENV_PREFIX}{name.upper()}): {text}" if name else text)
    return "settings: " + "; ".join(lines)
