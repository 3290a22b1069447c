"""What the user can set when a model server refuses: the words with which messages end."""

from __future__ import annotations

from dataclasses import dataclass

from babyai_kit.configuration.provider_types import PROVIDERS


@dataclass(frozen=True)
class Remedies:
    """Each completes a sentence that says what is wrong."""

    key: str
    """The server refuses the key."""
    name: str
    """It does not know the model, or not the address."""
    address: str
    """It is at another address."""
    form: str
    """It answers in a form that cannot be read."""
    hosted: bool = False
    """The address is the provider's own and right, so that what it does not know, it will not know later."""


def of_settings(named_in: str) -> Remedies:
    """For the server of the settings. `named_in`: where the model's name is to be corrected."""
    return Remedies(
        key="set OPENAI_API_KEY in .env",
        name=f"check {named_in}, and that OPENAI_BASE_URL ends as the server's documentation says, mostly in "
        "/v1",
        address="set OPENAI_BASE_URL to it",
        form="check that OPENAI_BASE_URL is an OpenAI-compatible API",
    )


OF_SETTINGS = of_settings("AGENT_MODEL")
ELSEWHERE = of_settings("AGENT_MODEL or AGENT_MODELS")
"""For that server where another process's gateway asks it, of which only the settings are known."""


def remedies_of(provider_type: str, *, key: str = "") -> Remedies:
    """For a provider that config/models.toml or a model's name says. `key`: the variable that has its key, if
    that is known; else the usual one is named."""
    provider = PROVIDERS.get(provider_type)
    own = "check model_name and api_base in config/models.toml"
    if provider is None:
        where = f"set {key} in .env" if key else "check api_key_location in config/models.toml"
        return Remedies(key=where, name=own, address="set api_base in config/models.toml to it", form=own)
    usual = f"{provider.key} (or the variable that config/models.toml names)" if provider.key else ""
    hosted = not provider.takes_address or provider_type == "anthropic"
    return Remedies(
        key=f"set {key or usual} in .env" if key or usual else "change the AWS credentials",
        name=f"check the model's name at {provider.name}" if hosted else own,
        address="set api_base in config/models.toml to it",
        form=f"check the status page of {provider.name}" if hosted else own,
        hosted=hosted,
    )
