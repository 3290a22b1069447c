import multiprocessing
from pathlib import Path

import pytest

from babyai_kit.configuration.settings import Settings
from babyai_kit.configuration.variants import load_config
from babyai_kit.errors import InputError, JournalError
from babyai_kit.runs.journal import Journal, read_episodes, read_manifest, read_steps, run_folder
from babyai_kit.runs.manifest import manifest_for
from babyai_kit.runs.plan import Sampling, make_plan
from tests.runs.test_records import episode, step
from tests.support.project import CONFIG


def test_what_is_appended_is_read_back(tmp_path: Path):
    with Journal(tmp_path) as journal:
        for record in (step(0), step(1, answer='"\u2028\n\udc80 \u00e9'), episode()):
            journal.append(record)
    assert [s.answer for s in read_steps(tmp_path)["e"]] == [
        step().answer,
        '"\u2028\n\udc80 \u00e9',
    ]
    assert list(read_episodes(tmp_path).values()) == [episode()]


def test_a_line_can_be_read_before_the_journal_is_closed(tmp_path: Path):
    with Journal(tmp_path) as journal:
        journal.append(step())
        assert read_steps(tmp_path) == {"e": [step()]}


def test_the_last_line_of_a_key_wins(tmp_path: Path):
    with Journal(tmp_path) as journal:
        journal.append(episode(status="error", success=None))
        journal.append(episode())
    assert list(read_episodes(tmp_path).values()) == [episode()]


def test_a_line_torn_at_any_byte_is_ignored_and_cut_off(tmp_path: Path):
    with Journal(tmp_path) as journal:
        journal.append(step(0))
        journal.append(step(1))
    file = tmp_path / "steps.jsonl"
    whole = file.read_bytes()
    first = whole.index(b"\n") + 1
    for end in range(first, len(whole)):
        file.write_bytes(whole[:end])
        assert read_steps(tmp_path) == {"e": [step(0)]}
        with Journal(tmp_path) as journal:
            journal.append(step(1))
        assert file.read_bytes() == whole


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path):
    (tmp_path / "steps.jsonl").write_text('{"step": 0}\n')
    with pytest.raises(JournalError, match=r"line 1 of .*steps\.jsonl"):
        read_steps(tmp_path)


def _hold(folder: Path, held, done) -> None:
    with Journal(folder):
        held.set()
        done.wait(20)


def test_a_second_process_is_refused(tmp_path: Path):
    spawn = multiprocessing.get_context("spawn")
    held, done = spawn.Event(), spawn.Event()
    other = spawn.Process(target=_hold, args=(tmp_path, held, done))
    other.start()
    try:
        assert held.wait(20)
        with pytest.raises(JournalError, match="in use by another process"), Journal(tmp_path):
            pass
    finally:
        done.set()
        other.join()
    with Journal(tmp_path):
        pass


def test_run_json_is_replaced_whole(tmp_path: Path):
    settings = Settings()
    config = load_config(CONFIG, settings)
    first = manifest_for(None, make_plan(config, run="a"), Sampling(), config, settings)
    second = manifest_for(first, make_plan(config, run="a", seeds=[5]), Sampling(), config, settings)
    assert read_manifest(tmp_path) is None
    with Journal(tmp_path) as journal:
        journal.write_manifest(first)
        journal.write_manifest(second)
    assert read_manifest(tmp_path) == second
    assert second.plans == (first.plan, second.plan)
    assert not list(tmp_path.glob("*.part"))


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="cannot write"), Journal(tmp_path / "file" / "run"):
        pass


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "-x", "a" * 65, "a b", "ä"])
def test_bad_run_names_are_refused(name: str):
    with pytest.raises(InputError, match="run name"):
        run_folder("results", name)


def test_shards_have_folders_of_their_own():
    assert run_folder("results", "a", (1, 4)) == Path("results/a/shards/1-of-4")
