"""Files are whole or absent."""

from __future__ import annotations

from pathlib import Path

import pytest

from babyai_kit.atomic_files import write_atomically, write_json_atomically
from babyai_kit.errors import FileWriteError


def test_a_file_and_its_folder_are_made_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.json"
    assert write_json_atomically(path, {"a": "ä\ud800"}) == path
    assert path.read_text() == '{\n  "a": "ä\\udc80"\n}\n'.replace("\\udc80", "\\ud800")
    write_atomically(path, b"\x00")
    assert path.read_bytes() == b"\x00"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_has_the_permissions_asked_for(tmp_path: Path) -> None:
    assert write_atomically(tmp_path / "secret", "x", mode=0o600).stat().st_mode & 0o777 == 0o600


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_atomically(tmp_path / "file", "old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(FileWriteError, match=r"cannot write .*file \(No space left on device\); free some"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_is_none_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileWriteError, match="cannot write"):
        write_atomically(tmp_path / "file" / "below", "x")
