"""Who is calling: the address behind trusted proxies, the key that came with the request, and what that permits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final

from api.errors import RpcCode
from api.security.keys import KeyRing, load_keys
from domain.runtime.settings import Settings
from domain.runtime.settings_web import is_local_host

ANONYMOUS: Final = "anonymous"
_MOST_HOPS: Final = 32
_BEARER: Final = "bearer "

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """``name``: the key's, or "anonymous". ``account``: what rate limits count for."""

    name: str
    address: str
    read_only: bool
    account: str


class Refusal(Exception):  # noqa: N818  an answer, not a failure
    """The request ends here, with this HTTP status and error code. The texts are ours."""

    def __init__(self, status: int, code: RpcCode, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.code = code
        self.text = text
        self.headers = dict(headers or {})


class Gate:
    """Decides over a request's WSGI environment alone, so that every way to an answer asks the same question."""

    def __init__(self, settings: Settings) -> None:
        self._keys: KeyRing = load_keys(settings)
        self._required = settings.api_key_required
        self._allowed = networks(settings.allowed_networks)
        self._proxies = networks(settings.trusted_proxies)
        self._hosts = frozenset(host.lower().strip("[]") for host in settings.allowed_hosts)
        self._any_host = not self._hosts and (settings.api_key_required or not is_local_host(settings.api_bind))

    def address(self, environ: Mapping[str, Any]) -> str:
        """The caller's address; "unknown" when the peer has none."""
        peer = parse_address(environ.get("REMOTE_ADDR", ""))
        forwarded = environ.get("HTTP_X_FORWARDED_FOR", "")
        if peer is not None and forwarded and self._proxies and _within(peer, self._proxies):
            peer = client_behind(forwarded, peer, self._proxies)
        return "unknown" if peer is None else str(peer)

    def admit(self, environ: Mapping[str, Any], *, without_key: bool = False) -> Caller:
        """Who calls. ``without_key``: for what everybody may see. Raises Refusal: 403 address or host, 401 key."""
        address = self.address(environ)
        found = parse_address(address)
        if self._allowed and (found is None or not _within(found, self._allowed)):
            raise Refusal(403, RpcCode.FORBIDDEN, "This address may not call")
        if not self._any_host and not self._answers_to(host_of(environ.get("HTTP_HOST", ""))):
            raise Refusal(403, RpcCode.FORBIDDEN, "This server does not answer to that host name")
        presented = presented_key(environ)
        if presented is None or without_key:
            if self._required and not without_key:
                raise _unauthorised("An API key is required: X-API-Key or Authorization: Bearer")
            return Caller(name=ANONYMOUS, address=address, read_only=False, account=account_of(address))
        key = self._keys.find(presented)
        if key is None:
            raise _unauthorised("This API key is not known")
        return Caller(name=key.name, address=address, read_only=key.read_only, account=f"key/{key.name}")

    def _answers_to(self, host: str) -> bool:
        """Without keys, a foreign page may reach a loopback service by a name of its own that resolves to it."""
        return host in self._hosts if self._hosts else _is_local(host)


def account_of(address: str) -> str:
    """What limits count for where there is no key. Whoever has one IPv6 address has a whole /64 of them."""
    found = parse_address(address)
    return f"address/{ip_network((found, 64), strict=False) if isinstance(found, IPv6Address) else address}"


def _unauthorised(text: str) -> Refusal:
    return Refusal(401, RpcCode.UNAUTHORISED, text, {"WWW-Authenticate": "Bearer"})


def presented_key(environ: Mapping[str, Any]) -> str | None:
    """The text of the key that came with the request, by either header."""
    own: str | None = environ.get("HTTP_X_API_KEY")
    if own is not None:
        return own
    authorization: str = environ.get("HTTP_AUTHORIZATION", "")
    if authorization[: len(_BEARER)].lower() == _BEARER:
        return authorization[len(_BEARER) :].strip()
    return None


def host_of(header: str) -> str:
    """The Host header without its port and brackets."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0].lower()


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in texts)


@lru_cache(maxsize=1_024)
def parse_address(text: str) -> Address | None:
    """An IPv4 address that came through an IPv6 socket is an IPv4 address."""
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def client_behind(forwarded: str, peer: Address, proxies: tuple[Network, ...]) -> Address | None:
    """The first address from the right that is no proxy of ours: what stands left of it, a client can make up.

    None when a proxy of ours passed on something that is no address: then nobody knows who it is.
    """
    client: Address | None = peer
    for part in reversed(forwarded.split(",")[-_MOST_HOPS:]):
        client = parse_address(_without_port(part.strip()))
        if client is None or not _within(client, proxies):
            return client
    return client


def _without_port(text: str) -> str:
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


@lru_cache(maxsize=256)
def _is_local(host: str) -> bool:
    return bool(host) and is_local_host(host)


@lru_cache(maxsize=1_024)
def _within(address: Address, allowed: tuple[Network, ...]) -> bool:
    return any(address.version == network.version and address in network for network in allowed)
