"""The gateway's tables in a local store: one maker at a time, and no data dropped."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from babyai_kit.errors import StoreError
from babyai_kit.local.clickhouse import ensure_server
from babyai_kit.local.clickhouse.data_directory import DataDirectory
from babyai_kit.store.client import open_client
from babyai_kit.store.gateway_tables import migrating

pytestmark = pytest.mark.e2e


async def test_only_one_process_at_a_time_makes_the_tables(data: Path, tmp_path: Path):
    with await ensure_server(data) as server:
        async with migrating(server, tmp_path):
            with pytest.raises(StoreError, match="for 0 s; end it and try again"):
                async with migrating(server, tmp_path, timeout_s=0):
                    pass


async def test_tables_with_data_are_never_dropped(tmp_path: Path):
    with await ensure_server(tmp_path, port=0) as handle:
        client = open_client(handle.url)
        client.command("CREATE TABLE TensorZeroMigration (a Int8) ENGINE = MergeTree ORDER BY a")
        client.command("CREATE TABLE ModelInference (a Int8) ENGINE = MergeTree ORDER BY a")
        client.command("INSERT INTO ModelInference VALUES (1)")
        with contextlib.suppress(ZeroDivisionError):
            async with migrating(handle, tmp_path):
                assert client.command("SELECT count() FROM ModelInference") == 1
                raise ZeroDivisionError
        assert not DataDirectory(tmp_path).migrated_file.exists()
        client.command("TRUNCATE TABLE ModelInference")
        client.command("CREATE TABLE mine (a Int8) ENGINE = MergeTree ORDER BY a")
        async with migrating(handle, tmp_path):
            assert client.command("EXISTS TABLE mine") == 1
        client.command("DROP TABLE mine")
        async with migrating(handle, tmp_path):
            assert client.command("EXISTS TABLE ModelInference") == 1
        client.close()
