"""Whether a request calls this server by a name that is its own.

A page of a foreign site can let its own name lead to this machine (DNS rebinding); its requests then have that name as
their origin and their host alike, and only the host itself gives them away.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address


def host_fits(header: str | None, listens: str, named: Sequence[str]) -> bool:
    """Whether a `Host` header may pass.

    Loopback names and the address that is listened on always may; where that is the loopback, no others but those
    named. On a network any address may, since none can be rebound, and any name as long as none is named.

    Args:
        header: None = there is none, which no browser does. listens: the address. named: further names; "*" = any.
    """
    if header is None or "*" in named:
        return True
    name = host_name(header)
    if is_loopback(name) or name in (listens.lower(), *map(str.lower, named)):
        return True
    return not is_loopback(listens) and (not named or is_address(name))


def host_name(header: str) -> str:
    """The name in a `Host` header, without its port, in small letters."""
    name = header.strip().lower()
    if name.startswith("["):  # an address of version 6
        return name[1:].partition("]")[0]
    return name.rpartition(":")[0] if name.count(":") == 1 else name


def is_loopback(name: str) -> bool:
    """Whether a name leads nowhere but to the machine it is used on."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    return is_address(name) and ip_address(name).is_loopback


def is_address(name: str) -> bool:
    """Whether a name is an IP address."""
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
