"""The settings of the web server: where it listens, who may call it, how often, and what it keeps of that."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, cast
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode

_LOCAL_NAMES: Final = frozenset({"localhost", ""})
_HOST: Final = re.compile(r"[A-Za-z0-9._:\[\]-]+")

Port = Annotated[int, Field(ge=0, le=65_535)]
Names = Annotated[tuple[str, ...], NoDecode]


def derived(make: Callable[[dict[str, Any]], object]) -> Callable[[], Any]:
    """A default that follows from settings above it; pydantic passes them, its type only knows the short form."""
    return cast("Callable[[], Any]", make)


class WebSettings(BaseSettings):
    """Part of Settings. ``_check_remote`` is why a service without a key is never reachable by accident."""

    # Where it listens
    api_bind: str = Field("127.0.0.1", min_length=1, description="address the web server listens on")
    api_port: Port = Field(8080, description="port the web server listens on, 0 for any")
    tls_certificate: Path | None = Field(None, description="PEM file with the certificate and its chain")
    tls_key: Path | None = Field(None, description="PEM file with the certificate's private key")
    enable_https: bool = Field(
        default_factory=derived(lambda known: known["tls_certificate"] is not None),
        description="listen with TLS on https_port instead of api_port; by default when a certificate is given",
    )
    https_port: Port = Field(8443, description="port the web server listens on with TLS, 0 for any")

    # Who may call
    api_keys: SecretStr | None = Field(
        None,
        repr=False,
        description="keys that may call, comma-separated name:full|read:sha256:HEX (`frt api-key` makes them)",
    )
    api_keys_file: Path | None = Field(None, description="file (mode 0600) with such keys, one per line")
    api_key_required: bool = Field(
        default_factory=derived(lambda known: bool(known["api_keys"] or known["api_keys_file"])),
        description="refuse requests without a key; by default when keys are given",
    )
    unsafe_remote_without_key: bool = Field(
        default=False, description="permit an api_bind that other machines can reach although no key is required"
    )
    api_key: SecretStr | None = Field(None, repr=False, description="the key that frt call and frt status send")
    allowed_networks: Names = Field(
        (), description="networks that may call, comma-separated (192.168.1.0/24, fd00::/8); by default all"
    )
    trusted_proxies: Names = Field(
        (), description="networks of reverse proxies whose X-Forwarded-For is believed; by default none"
    )
    allowed_hosts: Names = Field(
        (), description="names in the Host header that are answered; by default all when a key is required, else local"
    )
    cors_origins: Names = Field(
        (), description="origins of foreign pages whose scripts may call, comma-separated; by default none"
    )

    # How much
    rate_limit_reads: int = Field(
        120_000, ge=0, le=10**9, description="reads per minute and key (or address, without keys), 0 for any"
    )
    rate_limit_changes: int = Field(
        6_000, ge=0, le=10**9, description="commands per minute and key (or address, without keys), 0 for any"
    )
    max_connections: int = Field(200, ge=1, le=100_000, description="connections that are open at once")
    keep_alive_s: int = Field(30, ge=0, le=3_600, description="seconds that an idle connection is kept, 0 for none")
    receive_timeout_s: float = Field(
        10.0, gt=0, le=600, description="seconds in which a request must have arrived; slower clients are cut off"
    )
    max_header_fields: int = Field(64, ge=8, le=32_768, description="most header fields of a request")
    max_header_bytes: int = Field(8_190, ge=256, le=65_536, description="largest header field and request line")
    request_timeout_s: float = Field(30.0, gt=0, le=600, description="seconds until a command answers -1009")
    stop_wait_s: float = Field(
        default_factory=derived(lambda known: min(25.0, known["request_timeout_s"])),
        gt=0,
        le=600,
        description="seconds that stop_thread waits for the open operation",
    )
    max_waiting_requests: int = Field(32, ge=0, le=1_000, description="requests that may wait for a command at once")
    max_live_listeners: int = Field(
        8, ge=0, le=1_000, description="browsers that may watch the live page at once; each holds a thread"
    )
    max_body_bytes: int = Field(1_048_576, ge=1_024, le=2**30, description="largest request body")
    max_batch: int = Field(100, ge=1, le=10_000, description="most calls in one JSON-RPC batch")
    read_cache_ms: int = Field(
        250, ge=0, le=60_000, description="milliseconds for which the answer to a status read is used again, 0 for none"
    )
    compress: bool = Field(default=True, description="compress answers for clients that accept it")
    compress_min_bytes: int = Field(8_192, ge=200, le=2**30, description="smallest answer that is compressed")

    # What is kept of it
    audit_log: Literal["off", "changes", "all"] = Field(
        "changes", description="calls noted in logs/audit.jsonl: commands and refusals, or reads, too"
    )

    @field_validator("allowed_networks", "trusted_proxies", "allowed_hosts", "cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return split_list(value)

    @field_validator("allowed_networks", "trusted_proxies")
    @classmethod
    def _check_networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for text in networks:
            try:
                ip_network(text)
            except ValueError:
                raise ValueError("a network is an address or address/prefix, without host bits") from None
        return networks

    @field_validator("allowed_hosts")
    @classmethod
    def _check_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_HOST.fullmatch(host) for host in hosts):
            raise ValueError("a host is a name or an address, without port")
        return hosts

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            parts = urlsplit(origin)
            if (
                origin != f"{parts.scheme}://{parts.netloc}"
                or parts.scheme not in ("http", "https")
                or not parts.netloc
            ):
                raise ValueError("an origin is http://host[:port] or https://host[:port]")
        return origins

    @model_validator(mode="after")
    def _check_web(self) -> Self:
        if self.stop_wait_s > self.request_timeout_s:
            raise ValueError("stop_wait_s is above request_timeout_s")
        if self.enable_https and (self.tls_certificate is None or self.tls_key is None):
            raise ValueError("enable_https needs tls_certificate and tls_key")
        if self.api_key_required and self.api_keys is None and self.api_keys_file is None:
            raise ValueError("api_key_required needs api_keys or api_keys_file")
        return self

    @model_validator(mode="after")
    def _check_remote(self) -> Self:
        if is_local_host(self.api_bind) or self.api_key_required or self.unsafe_remote_without_key:
            return self
        raise ValueError(
            "api_bind is reachable from other machines and no API key is required; give api_keys (`frt api-key` makes "
            "one), or set unsafe_remote_without_key to let anybody act who can connect"
        )

    @property
    def listen_port(self) -> int:
        return self.https_port if self.enable_https else self.api_port

    @property
    def local_url(self) -> str:
        """Where this machine reaches the web server, without a slash at the end."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.api_bind, self.api_bind)  # noqa: S104
        host = f"[{host}]" if ":" in host else host
        return f"{'https' if self.enable_https else 'http'}://{host}:{self.listen_port}"


def split_list(value: object) -> object:
    """The items of a text, comma-separated or a JSON array; whatever else is given stays."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return tuple(json.loads(value))
    return tuple(part.strip() for part in value.split(",") if part.strip())


def is_local_host(host: str) -> bool:
    """Loopback by address or by name; anything else may be reached from elsewhere."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() in _LOCAL_NAMES
