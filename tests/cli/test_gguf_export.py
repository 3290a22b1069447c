"""`finetune export-gguf`, as it is typed in a project with jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from babyai_kit.__main__ import main
from babyai_kit.local.language_model.base_file import missing
from babyai_kit.local.player.job_store import JobStore
from tests.local.language_model import NO_LLM

NAME = "ft:smollm2-135m:offline:act:0a1b2c3d"
pytestmark = [pytest.mark.e2e, pytest.mark.skipif(bool(missing()), reason=NO_LLM)]


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JobStore:
    """Of the project in the working directory."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "tensorzero.toml").write_text("[functions.act]\n")
    monkeypatch.chdir(tmp_path)
    return JobStore(tmp_path / "data" / "player" / "jobs")


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["finetune", "export-gguf", *arguments, "--output", "out.gguf"]) != 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert not Path("out.gguf").exists()
    return shown.err


def add(jobs: JobStore, **fields: Any) -> dict[str, Any]:
    return jobs.add({"model": "smollm2-135m", "status": "succeeded", **fields})


def test_a_job_and_a_checkpoint_are_exported(jobs: JobStore, capsys: pytest.CaptureFixture[str]):
    import gguf
    import torch

    from babyai_kit.local.language_model.weights import GgufFile, Weights, open_base, save

    base = open_base()
    job = add(jobs, fine_tuned_model=NAME)
    folder = jobs.work_folder(job["id"])
    for place, value in ((folder, 2.0), (folder / "step-7", 3.0)):
        tensor = torch.full((1536, 576), value)
        save(Weights(base.shape, {"model.layers.29.mlp.up_proj.weight": tensor}, base.digest), place)
    checkpoint = f"{NAME}:ckpt-step-7"
    for argument, name, value in ((job["id"], NAME, 2.0), (checkpoint, checkpoint, 3.0)):
        assert main(["finetune", "export-gguf", argument, "--output", "new/a b.gguf"]) == 0
        assert capsys.readouterr().out == (
            f"{name} is in new/a b.gguf (145 MB).\nNext: llama-server -m 'new/a b.gguf'\n"
        )
        exported = GgufFile(Path("new/a b.gguf"))
        assert exported.value("general.name") == name
        tensors = {tensor.name: tensor for tensor in exported.reader.tensors}
        stored = tensors["blk.29.ffn_up.weight"]
        assert abs(gguf.dequantize(stored.data, stored.tensor_type) - value).max() < 0.01
        (norm,) = (tensor for tensor in base.reader.tensors if tensor.name == "blk.3.attn_norm.weight")
        assert (tensors[norm.name].data == norm.data).all()


def test_what_is_not_there_is_refused_with_what_is(jobs: JobStore, capsys: pytest.CaptureFixture[str]):
    assert "There are: smollm2-135m" in refusal(capsys, "smolm2-135m")
    job = add(jobs, fine_tuned_model=NAME)
    assert f"did you mean '{NAME}'? There are: {NAME}, smollm2-135m" in refusal(capsys, f"{NAME}x")
    (jobs.work_folder(job["id"]) / "step-7").mkdir()
    assert "unknown checkpoint of this model: '8'; choose from 7" in refusal(capsys, f"{NAME}:ckpt-step-8")
    assert "unknown checkpoint" in refusal(capsys, f"{NAME}:ckpt-step-../..")
    assert "cannot read" in refusal(capsys, NAME)
    assert "choose from smollm2-135m" in refusal(capsys, NAME, "--folder", "elsewhere")
    assert not Path("elsewhere").exists()


def test_models_without_weights_are_refused(jobs: JobStore, capsys: pytest.CaptureFixture[str]):
    add(jobs, model="offline-player", fine_tuned_model="ft:offline-player:offline:act:1")
    error = refusal(capsys, "ft:offline-player:offline:act:1")
    assert "was fine-tuned from offline-player, which has no weights to export; " in error
    assert error.endswith("set AGENT_MODEL=smollm2-135m\n")


def test_a_job_without_a_model_is_refused(jobs: JobStore, capsys: pytest.CaptureFixture[str]):
    job = add(jobs, status="cancelled")
    message = f"job {job['id']} is cancelled and has no model; choose another job"
    assert refusal(capsys, job["id"]).endswith(f"{message}\n")
    (jobs.work_folder(job["id"]) / "step-3").mkdir()
    assert f"{message} or export a checkpoint: {job['id']}:ckpt-step-3" in refusal(capsys, job["id"])


def test_a_folder_is_no_file(jobs: JobStore, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    assert main(["finetune", "export-gguf", "smollm2-135m", "--output", str(tmp_path)]) != 0
    assert capsys.readouterr().err.endswith(f"is a folder; name a file, such as {tmp_path / 'act.gguf'}\n")
