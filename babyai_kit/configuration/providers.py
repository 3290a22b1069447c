"""Models that are named by their provider, `TYPE::NAME`, and the keys that a provider's table needs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from babyai_kit.configuration.provider_types import PROVIDERS
from babyai_kit.configuration.urls import url_secrets
from babyai_kit.errors import InputError, what_there_is

SEPARATOR = "::"

_MEANT = {
    "bedrock": "aws_bedrock",
    "claude": "anthropic",
    "gemini": "google_ai_studio_gemini",
    "google": "google_ai_studio_gemini",
    "google_ai_studio": "google_ai_studio_gemini",
    "grok": "xai",
    "sagemaker": "aws_sagemaker",
    "vertex": "gcp_vertex_gemini",
}
_VERTEX = re.compile(
    r"projects/(?P<project_id>[^/]+)/locations/(?P<location>[^/]+)/"
    r"(?:publishers/[^/]+/models/(?P<model_id>[^/]+)|endpoints/(?P<endpoint_id>[^/]+))"
)
_KEYS = ("api_key_location", "api_key", "secret_access_key", "session_token")
"""Fields whose value is secret."""
_CREDENTIALS = (
    "api_key_location",
    "credential_location",
    "api_key",
    "access_key_id",
    "secret_access_key",
    "session_token",
    "region",
    "endpoint",
    "endpoint_url",
)
"""Fields whose value may stand elsewhere, as `env::NAME`."""
_ADDRESSES = ("api_base", "endpoint", "endpoint_url")
_KEY_LOCATION = re.compile(r"(?:env|path|path_from_env|dynamic)::.+|none|sdk", re.DOTALL)
_LOCATION = re.compile(r"(?:path_from_)?env::(.+)", re.DOTALL)
_OLDER_KEYS = {"AZURE_API_KEY": "AZURE_OPENAI_API_KEY"}
"""Where the gateway looks too for a default key that is not set."""


def is_shorthand(name: str) -> bool:
    """True for a model's name of the form `TYPE::NAME`."""
    return SEPARATOR in name


def shorthand(name: str) -> dict[str, Any]:
    """The provider table of a model named `TYPE::NAME`, as `[models.X.providers.Y]` has it.

    A table, since the gateway reads the key of a shorthand at the first call and never again, and puts no
    price on it. Raises InputError for an unknown type, and for one of which a name is not enough.
    """
    type_, _, model = name.partition(SEPARATOR)
    provider = PROVIDERS.get(type_)
    if provider is None:
        meant = _MEANT.get(type_.strip().lower(), type_)
        known = sorted(PROVIDERS, key=lambda t: not PROVIDERS[t].shorthand)
        raise InputError(f"the model {name!r} has no known provider; {what_there_is(meant, known)}")
    if not model.strip():
        raise InputError(f"the model {name!r} has no name after {SEPARATOR}; write {type_}{SEPARATOR}NAME")
    if not provider.shorthand:
        raise InputError(
            f"the model {name!r} needs more than a name ({', '.join(provider.required)}); describe it in "
            "config/models.toml, as config/models.toml.example does"
        )
    if provider.key_field == "credential_location":
        return {"type": type_} | _vertex_model(name, model)
    if type_ == "openai" and model.startswith("responses::"):
        return {"type": type_, "model_name": model.removeprefix("responses::"), "api_type": "responses"}
    return {"type": type_, "model_name": model}


def _vertex_model(name: str, path: str) -> dict[str, str]:
    match = _VERTEX.fullmatch(path)
    if not match:
        raise InputError(
            f"the model {name!r} is not complete; write "
            f"{name.partition(SEPARATOR)[0]}::projects/PROJECT/locations/REGION/publishers/google/models/NAME"
        )
    return {field: value for field, value in match.groupdict().items() if value}


def needed_keys(table: Mapping[str, Any], provider_types: Mapping[str, Any] | None = None) -> tuple[str, ...]:
    """The environment variables without which the gateway does not start with this provider `table`.

    A default and its fallback are both needed. `provider_types`: the table of that name in the gateway's
    TOML, which may change where a type's key is. What AWS finds by itself is not among them.
    """
    provider = PROVIDERS.get(str(table.get("type")))
    names: list[str] = []
    if provider and provider.key and provider.key_field not in table:
        defaults = _table(_table(provider_types, str(table["type"])), "defaults")
        names += _variables(defaults.get(provider.key_field)) if defaults else [provider.key]
    for field in _CREDENTIALS:
        names += _variables(table.get(field))
    return tuple(dict.fromkeys(names))


def secrets_of(table: Mapping[str, Any], environ: Mapping[str, str]) -> set[str]:
    """What must not be shown of this provider `table`: its keys, and passwords in its addresses."""
    found = {environ.get(name, "") for field in _KEYS for name in _variables(table.get(field))}
    for field in _ADDRESSES:
        given = table.get(field)
        for url in (given, *(environ.get(name) for name in _variables(given))):
            found |= url_secrets(url) if isinstance(url, str) and "://" in url else set()
    return found - {""}


def key_in_clear(table: Mapping[str, Any]) -> str:
    """The field of this provider `table` that may hold a key itself, not where it is; empty if none."""
    for field in (*_KEYS, "access_key_id"):
        location = table.get(field)
        named = location.values() if isinstance(location, Mapping) else [location]
        if any(isinstance(text, str) and not _KEY_LOCATION.fullmatch(text) for text in named):
            return field
    return ""


def missing_keys(
    table: Mapping[str, Any],
    environ: Mapping[str, str],
    provider_types: Mapping[str, Any] | None = None,
) -> tuple[str, ...]:
    """Those of `needed_keys` that `environ` has not, or has empty: with an empty key, every call fails."""

    def present(name: str) -> bool:
        return bool(environ.get(name, "").strip())

    needed = needed_keys(table, provider_types)
    default = "api_key_location" not in table
    return tuple(n for n in needed if not present(n) and not (default and present(_OLDER_KEYS.get(n, ""))))


def _variables(location: Any) -> Iterator[str]:
    """The variables that a location names, in one of its two forms."""
    if isinstance(location, Mapping):
        for field in ("default", "fallback"):
            yield from _variables(location.get(field))
    elif isinstance(location, str) and (match := _LOCATION.fullmatch(location)):
        yield match[1]


def _table(parent: Any, name: str) -> Mapping[str, Any]:
    value = parent.get(name) if isinstance(parent, Mapping) else None
    return value if isinstance(value, Mapping) else {}
