"""Clients of the ClickHouse that the settings name."""

from __future__ import annotations

from pathlib import Path

import pytest

from babyai_kit.errors import StoreError
from babyai_kit.local.clickhouse import ensure_server_sync
from babyai_kit.store.client import clickhouse_client, open_client


@pytest.mark.e2e
def test_a_configured_url_wins(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with ensure_server_sync(data) as server:
        monkeypatch.setenv("TENSORZERO_CLICKHOUSE_URL", server.url)
        client = clickhouse_client(env_file=None, data=tmp_path / "other")
        assert client.command("SELECT currentDatabase()") == "babyai"
        client.close()
    assert not (tmp_path / "other").exists()


def test_a_store_that_is_away_is_reported_without_its_password():
    with pytest.raises(StoreError, match="check that it is running") as error:
        open_client("http://babyai:canary@127.0.0.1:9/babyai")
    assert "canary" not in str(error.value)
