"""Where fine-tuning is done: an address, a key, and the client that asks there."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

import openai

from babyai_kit.configuration import addresses
from babyai_kit.configuration.urls import checked_url, split_query, url_secrets
from babyai_kit.errors import ConfigError
from babyai_kit.finetune.http_client import CONNECT_S, TIMEOUT_S, HttpClient


@dataclass(frozen=True)
class Server:
    """Where fine-tuning is done."""

    base_url: str = field(repr=False)
    """Like `https://api.openai.com/v1/`."""
    api_key: str = field(default="", repr=False)
    max_retries: int = 6
    """Of every question, with the package's growing waits and the server's Retry-After. The creation of a job
    is tried again only after an answer that says that there is none."""
    timeout_s: float = TIMEOUT_S
    """For a whole question and answer; uploads have an hour."""

    @property
    def address(self) -> str:
        """`base_url` without user name, password and query, to be shown and recorded."""
        return address_of(self.base_url)

    def redact(self, text: str) -> str:
        """`text` without the key and the password."""
        for secret in sorted({self.api_key, *url_secrets(self.base_url)}, key=len, reverse=True):
            text = text.replace(secret, "***") if secret else text
        return text

    def client(self) -> openai.AsyncOpenAI:
        """A new client of the `openai` package. Raises ConfigError for an address, a key or proxy variables
        that cannot be used."""
        if not (self.api_key.isascii() and self.api_key.isprintable()):
            # The HTTP library would say so with the key in its message.
            raise ConfigError("OPENAI_API_KEY has a character that no key has; copy the key again")
        url, query = split_query(checked_url("OPENAI_BASE_URL", self.base_url, addresses.OPENAI))
        return openai.AsyncOpenAI(
            base_url=url,
            default_query=query,
            # The package insists on a key; servers that need none ignore it.
            api_key=self.api_key or "none",
            max_retries=self.max_retries,
            timeout=openai.Timeout(self.timeout_s, connect=min(CONNECT_S, self.timeout_s)),
            http_client=HttpClient(url, self.timeout_s),
        )

    def __repr__(self) -> str:
        return f"Server({self.address!r})"


def address_of(url: str) -> str:
    """`url` without user name, password and query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address that is not valid"
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
