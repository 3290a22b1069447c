"""What is said of an address that cannot be reached: what one can mend there."""

from __future__ import annotations

import pytest

from babyai_kit.configuration.proxies import unreachable


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "127.0.0.1",
        "[::1]",
        "0.0.0.0",
        "192.168.1.20",
        "10.0.0.5",
        "[fd00::1]",
        "player",
        "host.docker.internal",
        "gpu-box.local",
        "LOCALHOST.",
    ],
)
def test_a_server_of_one_s_own_may_not_be_running(host: str) -> None:
    told = unreachable("the model server", f"http://{host}:8000/v1/")
    assert told == "the model server cannot be reached; check that it is running"


@pytest.mark.parametrize("host", ["api.openai.com", "openrouter.ai", "8.8.8.8", "[2606:4700::1111]"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_for_a_server_on_the_internet_the_network_is_to_be_checked(host: str, scheme: str) -> None:
    told = unreachable("the model server", f"{scheme}://user:secretword@{host}/v1/")
    assert told == (
        f"{host.strip('[]')} cannot be reached; check the network connection or the proxy settings "
        f"({scheme.upper()}_PROXY)"
    )


def test_what_stands_between_is_named_and_no_address_is_no_reason() -> None:
    told = unreachable("the model server", "https://api.openai.com/v1", through=" through the proxy p")
    assert told.startswith("api.openai.com cannot be reached through the proxy p; check ")
    assert unreachable("the gateway", "") == "the gateway cannot be reached; check that it is running"
