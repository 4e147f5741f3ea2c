"""All settings: their names, defaults, units and limits; read once from environment and TOML file, then frozen.

Every name exists as ``FRT_<NAME>`` in the environment and as ``name`` in the file; a name nobody knows is an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict
from solders.pubkey import Pubkey

from domain.runtime import tracing
from domain.runtime.redact import redact_url
from domain.runtime.settings_web import Port, WebSettings, derived, is_local_host, split_list
from domain.runtime.topology import parse_queue_cores

ENV_PREFIX: Final = "FRT_"
CONFIG_VARIABLE: Final = "FRT_CONFIG"
_LOCALNET_PROGRAM_ID: Final = "4aeVqtWhrUh6wpX8acNj2hpWXKEQwxjA3PYb2sHhNyCn"  # CONTRACT.md 1

Milliseconds = Annotated[int, Field(ge=1, le=3_600_000)]


class Settings(WebSettings):
    """Effective settings of one process. Frozen; ``load`` (settings_sources.py) makes them."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        case_sensitive=False,
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        validate_default=True,
    )

    # Redis
    redis_url: str = Field(
        "redis://127.0.0.1:6379/0", repr=False, description="redis://, rediss:// or unix:// URL of the one Redis"
    )
    redis_prefix: str = Field("frt:", min_length=1, description="what every key and queue name begins with")

    # Solana
    rpc_urls: Annotated[tuple[str, ...], NoDecode] = Field(
        ("http://127.0.0.1:8899",), min_length=1, repr=False, description="RPC endpoints, comma-separated"
    )
    local_chain: bool = Field(
        default_factory=derived(lambda known: all(is_local_url(url) for url in known["rpc_urls"])),
        description="a chain of our own: free SOL, administrative probes; by default when every endpoint is loopback",
    )
    rpc_timeout_ms: Milliseconds = Field(
        default_factory=derived(lambda known: 1_000 if known["local_chain"] else 5_000),
        description="milliseconds for one RPC request; 1000 on a local chain, 5000 on a cluster",
    )
    program_id: str = Field(_LOCALNET_PROGRAM_ID, description="address of the Fixed Ratio Trading program")
    preflight: bool = Field(
        default=False,
        description="simulate each transaction before it is sent; one that is refused there ends as expired",
    )
    sol_threshold: int | None = Field(
        None, ge=0, le=2**63, description="lamports under which a wallet is topped up; derived from the pool's fees"
    )

    # The local chain
    slot_ms: Milliseconds = Field(400, description="milliseconds of one slot of the local chain")

    # Files and keys
    data_dir: Path = Field(Path("data"), description="folder of everything that is kept in files")
    core_wallet: Path = Field(
        default_factory=derived(lambda known: known["data_dir"] / "core-wallet.json"),
        description="solana-keygen file of the core wallet",
    )
    sealing_key: SecretStr | None = Field(
        None, repr=False, description="32 bytes as hex or base64 that seal the thread keys; goes before the file"
    )
    sealing_key_file: Path = Field(
        default_factory=derived(lambda known: known["data_dir"] / "sealing.key"),
        description="file (mode 0600) with the sealing key",
    )

    sealing_passphrase: SecretStr | None = Field(
        None, repr=False, description="passphrase instead of a sealing key; the key is derived from it by scrypt"
    )
    sealing_passphrase_file: Path | None = Field(None, description="file (mode 0600) with the sealing passphrase")
    encrypt_core_wallet: bool = Field(
        default=False, description="keep the core wallet's file sealed; a plain one is sealed at the next start"
    )
    export_ms: int = Field(4_000, ge=100, le=5_000, description="milliseconds between two exports to the data folder")
    backup_enabled: bool = Field(default=True, description="keep a copy of the exported files of every day")
    backup_retention_days: int = Field(30, ge=1, le=36_500, description="days that daily copies are kept")
    session_retention_days: int | None = Field(
        None, ge=1, le=36_500, description="days that session files are kept; without limit when not given"
    )

    # The run
    seed: int | None = Field(None, ge=0, lt=2**64, description="fixes every random decision; drawn when not given")
    countdown_min_ms: Milliseconds = Field(750, description="shortest pause between two cycles of a thread")
    countdown_max_ms: Milliseconds = Field(2_000, description="longest pause between two cycles of a thread")
    error_history_limit: int = Field(10, ge=1, le=10_000, description="errors kept per thread")
    pool_target: int = Field(
        0, ge=0, le=1_000, description="pools to have at a start: missing ones are created at random"
    )
    journal_cap: int = Field(200_000, ge=1, description="unspilled journal entries at which cycles wait")

    # Workers and supervisor
    worker_pool: Literal["threads", "solo", "prefork"] = Field("threads", description="Celery pool of a cycle node")
    worker_concurrency: int | None = Field(
        None, ge=1, le=1_000, description="cycles that one node runs at once; by default 4, with few nodes 32 in all"
    )
    nodes: int | None = Field(None, ge=1, le=1_024, description="cycle nodes; by default one per worker core")
    reserved_cores: int | None = Field(
        None, ge=0, le=1_024, description="cores that are left to Redis, chain and system; by default an eighth"
    )
    pin_workers: bool = Field(
        default=True, description="pin each cycle node to a core of its own, on machines of three cores and more"
    )
    numa_aware: bool = Field(
        default=True, description="give nodes physical cores before hyper-threads, and memory nodes in turn"
    )
    queue_cores: str = Field(
        "", description="cores of each queue's nodes instead of the plan's, like cycles=4-31 control=2,3"
    )
    worker_nice: int = Field(
        0, ge=-20, le=19, description="nice value of Celery nodes; below 0 needs the right to it (CAP_SYS_NICE)"
    )
    task_events: bool = Field(
        default=False, description="tell Flower about every task; costs a third of the throughput"
    )
    overdue_ms: Milliseconds = Field(2_000, description="a chain this late and without lease is sent again")
    sweep_ms: Milliseconds = Field(500, description="pause between two sweeps of the supervisor")

    # Metrics
    metrics_port: Port = Field(
        0, description="first port on which each process serves /metrics, the next ones where it is taken; 0: none"
    )
    metrics_bind: str = Field("127.0.0.1", min_length=1, description="address that metrics_port is opened on")
    metrics_interval_s: float = Field(
        30.0, gt=0, le=3_600, description="seconds between two lines of performance figures in the log"
    )
    metrics_cpu: bool = Field(default=True, description="watch the machine's cores")
    metrics_memory: bool = Field(default=True, description="watch the machine's memory")
    metrics_network: bool = Field(default=True, description="watch the machine's network devices")
    metrics_temperature: bool = Field(default=True, description="watch the machine's temperature sensors")
    otlp_endpoint: str | None = Field(
        None,
        repr=False,
        description="OpenTelemetry collector that workers send traces to, like http://127.0.0.1:4318/v1/traces; "
        "needs the extra `traces`",
    )

    # Logs
    log_level: Literal["debug", "info", "warning", "error", "critical"] = Field(
        "info", description="lowest level shown"
    )
    log_format: Literal["console", "json"] = Field("console", description="for people, or one JSON object per line")
    log_max_bytes: int = Field(
        50_000_000, ge=10_000, le=2**40, description="size at which a log file of frt run and frt up is rotated"
    )
    log_backups: int = Field(5, ge=1, le=1_000, description="rotated log files that are kept of each")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is passed in: the process' own environment is read by ``load``, or not at all."""
        return (init_settings,)

    @field_validator("rpc_urls", mode="before")
    @classmethod
    def _split_urls(cls, value: object) -> object:
        return split_list(value)

    @field_validator("rpc_urls")
    @classmethod
    def _check_rpc_urls(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_is_http_url(url) for url in urls):
            raise ValueError("an RPC endpoint is an http:// or https:// URL")
        return urls

    @field_validator("redis_url")
    @classmethod
    def _check_redis_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("redis", "rediss", "unix"):
            raise ValueError("Redis is given as a redis://, rediss:// or unix:// URL")
        if parts.scheme != "unix" and not (_has_port_in_range(url) and re.fullmatch(r"(/\d*)?", parts.path)):
            raise ValueError("Redis is given as redis://[user:password@]host[:port][/number]")
        return url

    @field_validator("program_id")
    @classmethod
    def _check_program_id(cls, text: str) -> str:
        try:
            Pubkey.from_string(text)
        except ValueError:
            raise ValueError("an address is 32 bytes in base58") from None
        return text

    @field_validator("otlp_endpoint")
    @classmethod
    def _check_otlp_endpoint(cls, url: str | None) -> str | None:
        if url is None:
            return None
        if not _is_http_url(url):
            raise ValueError("a collector is an http:// or https:// URL")
        if not tracing.is_installed():
            raise ValueError(f"traces need packages that are not installed: {tracing.INSTALL}")
        return url

    @field_validator("queue_cores")
    @classmethod
    def _check_queue_cores(cls, text: str) -> str:
        parse_queue_cores(text)
        return text

    @field_validator("log_level", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.countdown_min_ms > self.countdown_max_ms:
            raise ValueError("countdown_min_ms is above countdown_max_ms")
        if self.sealing_passphrase is not None and self.sealing_passphrase_file is not None:
            raise ValueError("sealing_passphrase and sealing_passphrase_file are both set; which one is meant?")
        return self

    @property
    def lease_ms(self) -> int:
        """A cycle's lease: the sum of its two request timeouts + 1 s, without renewal (DESIGN.md 5)."""
        return 2 * self.rpc_timeout_ms + 1_000

    def safe_dump(self) -> dict[str, Any]:
        """Effective values as plain JSON data; secrets are only said to be set, URLs come without credentials."""
        secrets = {name for name in type(self).model_fields if isinstance(getattr(self, name), SecretStr)}
        dump = self.model_dump(mode="json", exclude=secrets) | dict.fromkeys(secrets, "(set)")
        dump["redis_url"] = redact_url(self.redis_url)
        dump["otlp_endpoint"] = redact_url(self.otlp_endpoint) if self.otlp_endpoint else None
        dump["rpc_urls"] = [redact_url(url) for url in self.rpc_urls]
        return {name: dump[name] for name in type(self).model_fields}

    def to_env(self) -> dict[str, str]:
        """The environment that gives a child process these very settings. Holds secrets; paths are absolute."""
        return {
            f"{ENV_PREFIX}{name.upper()}": _text(value)
            for name in type(self).model_fields
            if (value := getattr(self, name)) is not None
        }


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Path):
        return str(value.absolute())
    if isinstance(value, tuple):
        return json.dumps(list(value))
    return str(value)


def _has_port_in_range(url: str) -> bool:
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def _is_http_url(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and _has_port_in_range(url)


def is_local_url(url: str) -> bool:
    return is_local_host(urlsplit(url).hostname or "")


def load(env: Mapping[str, str], toml: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """See settings_sources.load; here because everybody asks for it by this name."""
    from domain.runtime.settings_sources import load as load_sources

    return load_sources(env, toml, overrides)
