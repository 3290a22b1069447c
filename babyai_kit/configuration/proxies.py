"""Which HTTP proxy an address is reached through, as the environment says; loopback never is.

One answer for all that the kit asks by itself, so that `doctor` and a run agree.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

from babyai_kit.errors import ConfigError

LOOPBACK = "localhost,127.0.0.1,127.0.0.0/8,::1"
_NEAR_NAMES = (".localhost", ".local", ".lan", ".home", ".internal", ".home.arpa", ".intranet", ".corp")


def proxy_for(url: str, environ: Mapping[str, str]) -> str | None:
    """The proxy's URL, or None: reached directly.

    `HTTPS_PROXY` or `HTTP_PROXY` by the scheme of `url`, else `ALL_PROXY`, but for hosts in `NO_PROXY`; names
    in lower case come first, as with curl. Raises ConfigError for what is not the address of an HTTP proxy.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    named = next((n for n in (f"{parts.scheme}_proxy", "all_proxy") if _value(n, environ)), None)
    if named is None or is_loopback(host) or proxy_bypass_environment(host, {"no": no_proxy(environ)}):
        return None
    proxy = _value(named, environ)
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    try:
        scheme = urlsplit(proxy).scheme
    except ValueError:
        raise ConfigError(
            f"{named.upper()} is not a proxy's address; write it like http://proxy:3128, or unset it"
        ) from None
    if scheme not in ("http", "https"):
        raise ConfigError(
            f"{named.upper()} names a {scheme} proxy, which cannot be used for {host}; name "
            f"an HTTP proxy or add {host} to NO_PROXY"
        )
    return proxy


def no_proxy(environ: Mapping[str, str]) -> str:
    """`NO_PROXY` as set, with all loopback addresses."""
    return ",".join(filter(None, (_value("no_proxy", environ), LOOPBACK)))


def is_loopback(host: str) -> bool:
    """True for `localhost` and for addresses of this machine alone."""
    host = host.rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def unreachable(service: str, url: str, *, through: str = "") -> str:
    """What to say if nothing can be reached at `url`, with what to check.

    A `service` of one's own may not be running, while one on the internet is. `through`: what stands between,
    such as " through the proxy P".
    """
    parts = urlsplit(url)
    if is_near(parts.hostname or ""):
        return f"{service} cannot be reached{through}; check that it is running"
    proxy = f"{parts.scheme.upper()}_PROXY"
    remedy = f"check the network connection or the proxy settings ({proxy})"
    return f"{parts.hostname} cannot be reached{through}; {remedy}"


def is_near(host: str) -> bool:
    """True for this machine, for private addresses, and for names that only a local network knows."""
    host = host.rstrip(".").lower()
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith(_NEAR_NAMES)


def _value(name: str, environ: Mapping[str, str]) -> str:
    return environ.get(name) or environ.get(name.upper()) or ""
