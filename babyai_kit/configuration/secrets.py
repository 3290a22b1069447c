"""What must not be shown, for text that may hold anything: tracebacks and logs.

Nothing here relies on valid settings, since an invalid one may be why there is a traceback.
"""

from __future__ import annotations

import os
import re

from babyai_kit.configuration.env_file import read_env_file
from babyai_kit.configuration.project import PROJECT_ENV, StrPath
from babyai_kit.configuration.urls import url_secrets
from babyai_kit.errors import ConfigError

MIN_LENGTH = 4
"""Characters of a secret that is looked for; shorter ones would be found in any text."""

_SECRET_NAME = re.compile(r"(KEY|TOKEN|PASSWORD|SECRET)$", re.IGNORECASE)
_CREDENTIAL_NAME = re.compile(
    r"(^(AWS|AZURE|GCP|GOOGLE)_|(_API_KEY|_API_TOKEN|_ACCESS_KEY|_CREDENTIALS_PATH)$)", re.IGNORECASE
)
_CREDENTIALS = re.compile(r"(?<=://)[^\s/'\"]+(?=@)")


def is_credential(name: str) -> bool:
    """True for a variable by which a provider of models may know its user."""
    return _CREDENTIAL_NAME.search(name) is not None


def is_secret(name: str, value: str) -> bool:
    """True if `value` must not be shown, by the variable's name; a value too short to look for is not."""
    return _SECRET_NAME.search(name) is not None and len(value) >= MIN_LENGTH


def redacted(text: str, env_file: StrPath = PROJECT_ENV, *, min_length: int = MIN_LENGTH) -> str:
    """`text` without the keys and passwords of `env_file` and the environment, and without the credentials of
    any URL. `min_length`: characters of those that are looked for."""
    secrets = (secret for secret in _secrets(env_file) if len(secret) >= min_length)
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return _CREDENTIALS.sub("***", text)


def _secrets(env_file: StrPath) -> set[str]:
    try:
        values = read_env_file(env_file)
    except ConfigError:
        values = {}
    found: set[str] = set()
    for name, value in [*values.items(), *os.environ.items()]:
        found |= url_secrets(value) if "://" in value else set()
        found |= {value.strip()} if is_secret(name, value) else set()
    return {secret for secret in found if len(secret) >= MIN_LENGTH}
