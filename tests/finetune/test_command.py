"""The command line, as a user types it in an empty project."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from babyai_kit import run_experiment
from babyai_kit.__main__ import _parser, main
from babyai_kit.cli.arguments import run_options
from babyai_kit.configuration.project import PROJECT_RESULTS
from babyai_kit.finetune.export import read_rows
from babyai_kit.runs.plan import Sampling
from babyai_kit.runs.run import Run
from tests.support.project import ROOT

pytestmark = pytest.mark.e2e


@pytest.fixture
def project(config: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The present directory: a configuration and the shared ClickHouse."""
    (tmp_path / "data").symlink_to(data)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_from_a_run_to_the_gain(
    project: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def kit(line: str, code: int = 0) -> str:
        assert main(line.split()) == code, capfd.readouterr()
        return capfd.readouterr().out

    kit("run one --variants baseline --tasks goto --seeds 30:36")
    output = kit("finetune launch one --variant baseline --min-return 0.2 --dry-run")
    assert "A job would take" in output
    assert not (project / "results/one/finetune/job.json").exists()
    form = output.partition("http://127.0.0.1:4000/optimization/supervised-fine-tuning")[2]
    fields = dict(re.findall(r"(?m)^  (Function|Metric|Prompt|Model) +(.+)$", form))
    assert fields.pop("Model").endswith("not offline-player")
    assert fields == {"Function": "act", "Metric": "curated", "Prompt": "baseline"}
    assert "No UI sees this run" in form
    page = (ROOT / "docs/ui.md").read_text()
    assert re.findall(r"(?m)^  ([A-Z][a-zA-Z ]+?) {2,}", form) == re.findall(
        r"(?m)^\| ([A-Z][a-zA-Z ]+) \|", page
    )
    output = kit("finetune launch one --variant baseline --min-return 0.2 --dry-run --model gpt-9")
    assert re.search(r"(?m)^  Model +gpt-9$", output)
    output = kit("finetune launch one --variant baseline --min-return 0.2")
    assert "The job has successfully completed" in output
    assert kit("finetune wait one").splitlines()[-2].endswith(output.splitlines()[-2].rpartition(" ")[2])
    (following,) = [line for line in output.splitlines() if line.startswith("Next: ")]
    kit(following.removeprefix("Next: python -m babyai_kit "))
    output = kit(
        "finetune evaluate two --base baseline --tuned baseline_sft --tasks goto --seeds 1000:1003 "
        "--no-call-seeds --temperature 0.5 --max-tokens 300 --history-length 4 --concurrency 8"
    )
    assert "baseline_sft against baseline, test block" in output
    manifest = Run.open("two").manifest
    assert manifest.sampling == Sampling(temperature=0.5, max_tokens=300, call_seeds=False)
    assert manifest.plan.history_length == 4

    assert main(["finetune", "register", "baseline", "--model", "m", "--like", "history"]) == 2
    kit("run three --variants baseline --tasks goto --seeds 200:201")
    assert main(["finetune", "launch", "three", "--variant", "baseline"]) == 2
    assert "in the validation block" in capfd.readouterr().err
    assert main(["finetune", "wait", "three"]) == 2
    capfd.readouterr()
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    job = project / "results/one/finetune/job.json"
    job.write_text(job.read_text().replace('"succeeded"', '"running"'))
    assert main(["finetune", "wait", "one"]) == 2
    assert "the job is at the offline player, but the settings name http" in capfd.readouterr().err


def test_a_launch_learns_from_another_player_under_the_prompt_named(
    project: Path, capfd: pytest.CaptureFixture[str]
):
    def kit(line: str, code: int = 0) -> str:
        assert main(line.split()) == code
        return "".join(capfd.readouterr())

    kit("run random --agents explore:share=1 --tasks goto --seeds 0:20 --repeats 2 --history-length 3")
    launch = "finetune launch random --variant explore:share=1 --min-return 0 --dry-run"
    output = kit(f"{launch} --prompt history --shortest-only --drop-detours")
    assert re.search(r"examples of \d+ episodes of explore:share=1.0, as history is asked", output)
    assert "complete in the journal" in output
    assert "A job would take" in output
    assert "fill in" not in output  # the form would learn under the prompts that were asked
    rows = read_rows(project / "results/random/finetune/train.jsonl")
    assert max(row["messages"][-2]["content"].count("\nAction: ") for row in rows) == 3
    assert "unknown variant 'hist'" in kit(f"{launch} --prompt hist", 2)
    wrong = "finetune launch random --variant explore:shares=2 --prompt history"
    assert "unknown parameter of agent explore 'shares'" in kit(wrong, 2)


def test_a_launch_learns_from_the_latest_plan_or_from_the_settings_named(
    project: Path, capfd: pytest.CaptureFixture[str]
):
    def kit(line: str, code: int = 0) -> str:
        assert main(line.split()) == code
        return "".join(capfd.readouterr())

    kit("run plans --variants history --tasks goto --seeds 40:43")
    kit("run plans --variants history --tasks goto --seeds 40:42 --history-length 4")
    launch = "finetune launch plans --variant history --min-return 0 --dry-run"
    lengths = {}
    for flags in ("", "--history-length 8"):
        output = kit(f"{launch} {flags}")
        lengths[flags] = int(re.findall(r"(?m)^ +finished +(\d+)", output)[0])
        shown, other = (8, 4) if flags else (4, 8)
        assert f"with history length {other} (--history-length {other})" in output
        assert f"with history length {shown}" not in output
    assert lengths == {"": 2, "--history-length 8": 3}
    assert "no finished episode of history has history length 3" in kit(f"{launch} --history-length 3", 2)


@pytest.mark.parametrize("command", ["run x", "finetune improve x", "finetune evaluate x --base a --tuned b"])
def test_every_command_that_plays_has_the_flags_of_run(command: str):
    flags = "--temperature 0 --max-tokens 7 --no-call-seeds --concurrency 3 --history-length 2 --num-dists 1"
    flags += " --repeats 2 --max-cost-usd 1.5 --max-tokens-total 100 --results r"
    flags += " --requests-per-minute 9 --stop-after-invalid 0"
    options = run_options(_parser().parse_args([*command.split(), *flags.split()]))
    assert options == {
        "temperature": 0.0,
        "max_tokens": 7,
        "call_seeds": False,
        "max_concurrency": 3,
        "history_length": 2,
        "num_dists": 1,
        "repeats": 2,
        "max_cost_usd": 1.5,
        "max_tokens_total": 100,
        "requests_per_minute": 9.0,
        "stop_after_invalid": 0,
        "results": "r",
    }
    assert set(options) <= set(inspect.signature(run_experiment).parameters)
    assert run_options(_parser().parse_args(command.split())) == {"results": PROJECT_RESULTS}


def test_the_snippet_is_read_from_a_file(project: Path, capfd: pytest.CaptureFixture[str]):
    lines = ['[models."ft:a"]', 'routing = ["x"]', '[models."ft:a".providers.x]']
    (project / "snippet.toml").write_text("\n".join([*lines, 'type = "openai"', 'model_name = "ft:a"']))
    assert main(["finetune", "register", "history_sft", "--snippet", "snippet.toml"]) == 0
    assert "config/finetuned/history_sft.toml" in capfd.readouterr().out
    assert main(["finetune", "register", "history_sft", "--snippet", "absent.toml"]) == 2
