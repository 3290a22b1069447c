"""URLs as users write them: checked, joined with a path, and what of them is secret.

No message shows a URL that is not valid: its password may stand anywhere in it.
"""

from __future__ import annotations

import re
from base64 import b64encode
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from babyai_kit.errors import ConfigError

_ENDPOINT = re.compile(r"/(?:chat/)?completions/*$|(?<=/v1)/(?:models|responses)/*$")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SECRET_NAME = re.compile(r"key|token|secret|sig|pass|auth|code", re.IGNORECASE)


def checked_url(name: str, url: str, example: str) -> str:
    """`url`, the value of the setting `name`; empty if it is empty.

    Raises ConfigError, without showing the value, for one that is not an http(s) URL with a host.
    """
    if not url:
        return ""
    invalid = ConfigError(f"{name} is not a valid http(s) URL; write it like {example}")
    not_encoded = ConfigError(
        f"{name} has a user name or password that a URL cannot hold as it is; percent-encode its special "
        "characters: % as %25, @ as %40, : as %3A, / as %2F, ? as %3F, # as %23, [ as %5B"
    )
    try:
        parts = urlsplit(url)
        well_formed = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port  # raises ValueError if it is not a port
    except ValueError:
        raise (not_encoded if "@" in url else invalid) from None
    user, _, host = parts.netloc.rpartition("@")
    # A password with a slash ends the host at its first half, and its second half goes to the path. The
    # gateway takes a backslash for a slash.
    if _STRAY_PERCENT.search(user) or "\\" in user or ("@" in url and not user and ":" in host):
        raise not_encoded
    if not well_formed or not url.isprintable() or " " in url or "\\" in url:
        raise invalid
    return url


def base_url(url: str) -> tuple[str, str]:
    """The base URL of an OpenAI-compatible API that `url` means, with a path that ends in a slash and with
    its query; and the name of an endpoint that was left out at its end, such as `/chat/completions`."""
    parts = urlsplit(url)
    endpoint = _ENDPOINT.search(parts.path)
    path = parts.path[: endpoint.start()] if endpoint else parts.path
    base = parts._replace(path=f"{path.rstrip('/')}/", fragment="").geturl()
    return base, endpoint[0].rstrip("/") if endpoint else ""


def endpoint(base: str, path: str) -> str:
    """The URL of `path` under the base URL `base`, whose query is kept."""
    parts = urlsplit(base)
    return parts._replace(path=f"{parts.path.rstrip('/')}/{path}").geturl()


def split_query(base: str) -> tuple[str, dict[str, str]]:
    """The base URL without its query, and the query, for clients that take them apart."""
    parts = urlsplit(base)
    return parts._replace(query="").geturl(), dict(parse_qsl(parts.query, keep_blank_values=True))


def with_version(base: str) -> str:
    """`base` with `/v1/` at the end of its path, where most servers have their API."""
    return endpoint(base, "v1/")


def url_secrets(url: str) -> set[str]:
    """What must not be shown of `url`: its password, a user name alone, and keys in its query.

    As they stand, percent-decoded, and as the header Authorization has them. Of a URL that cannot be parsed,
    all that can be credentials.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        parts = SplitResult("", url.partition("://")[2], "", "", "")
    userinfo = parts.netloc.rpartition("@")[0]
    user, _, password = userinfo.partition(":")
    found = {password or user}
    if userinfo:
        found.add(b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode())
    found |= {value for name, value in parse_qsl(parts.query) if _SECRET_NAME.search(name)}
    return {form for secret in found if secret for form in (secret, unquote(secret), quote(secret, safe=""))}
