"""`doctor` as a user meets it: a process, its lines and its exit code, for each kind of trouble."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path

import pytest

from babyai_kit.cli import health_checks as doctor
from babyai_kit.cli.finding import Finding
from babyai_kit.configuration.models import DEFAULT_MODEL
from tests.support.project import CONFIG, ROOT, SETTINGS

pytestmark = pytest.mark.e2e

KEY = "sk-canary-doctor"


@pytest.fixture
def project(tmp_path: Path, data: Path) -> Path:
    for name in ("config", "babyai_kit"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "data").symlink_to(data)
    return tmp_path


def examined(project: Path, code: int, *flags: str, **settings: str) -> dict[str, list[str]]:
    """Lines by part of a `doctor` with `flags` that ends with `code`; the last line by `verdict`."""
    process = subprocess.run(
        [sys.executable, "-m", "babyai_kit", "doctor", *flags],
        cwd=project,
        env={k: v for k, v in os.environ.items() if k not in SETTINGS} | settings,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert process.returncode == code, process.stdout + process.stderr
    assert "Traceback" not in process.stderr
    assert KEY not in process.stdout + process.stderr
    *found, verdict = process.stdout.splitlines()
    lines = {"verdict": [verdict]}
    for line in found:
        lines.setdefault(line[8:20].strip(), []).append(line)
    return lines


@pytest.fixture
def model_server() -> Iterator[str]:
    """A server that lists two models to whoever has the key."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.headers["Authorization"] == f"Bearer {KEY}"
            body = f'{{"data": [{{"id": "llama3"}}, {{"id": "{DEFAULT_MODEL}"}}]}}' if known else "{}"
            self.send_response(200 if known and self.path == "/v1/models" else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def do_POST(self) -> None:
            self.send_error(401)

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def test_nothing_configured_is_well(project: Path):
    findings = examined(project, 0)
    parts = ["Python", "Packages", "Disk", "Model", "Gateway", "ClickHouse"]
    assert list(findings)[:7] == ["verdict", *parts]
    assert findings["verdict"] == ["All well."]
    assert "NO language model" in findings["Model"][0]
    assert "embedded" in findings["Gateway"][0]
    assert "inferences" in findings["ClickHouse"][0]
    assert "Compose" in findings


def test_a_key_is_tried_without_a_paid_call(project: Path, model_server: str):
    findings = examined(project, 0, OPENAI_API_KEY=KEY, OPENAI_BASE_URL=model_server)
    assert findings["Model"][0].startswith("ok")
    assert f"{DEFAULT_MODEL} at http://127.0.0.1" in findings["Model"][0]
    unpriced = examined(project, 0, OPENAI_API_KEY=KEY, OPENAI_BASE_URL=model_server, AGENT_MODEL="llama3")
    assert "cost is NaN" in unpriced["Model"][0]


def test_all_is_not_well_if_a_model_of_every_plan_lacks_its_key(project: Path):
    findings = examined(project, 1, AGENT_MODELS="offline-player,groq::llama-3.1-8b-instant")
    assert "needs GROQ_API_KEY" in findings["Model"][1]
    assert findings["verdict"] == ["1 problem."]


def test_models_are_asked_on_demand_alone(project: Path, model_server: str):
    """The server refuses calls, so that asking it is trouble, and not asking it is none."""
    settings = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": model_server}
    asked = examined(project, 1, "--ask", "--models", f"{DEFAULT_MODEL},offline-player", **settings)
    assert [line[:7] for line in asked["Model"]] == ["ok     ", "note   "]
    (trouble,) = asked["Answers"]
    assert trouble.startswith(f"TROUBLE Answers     {DEFAULT_MODEL}: ")
    text = " ".join(line for lines in asked.values() for line in lines)
    assert "Asking 2 models: at most 8 short calls each. They cost money: at most $0.0058." in text
    assert "offline-player  schema   yes   yes     yes     no" in text


def test_a_wrong_key_an_unknown_model_and_a_dead_server_are_trouble(project: Path, model_server: str):
    wrong = examined(project, 1, OPENAI_API_KEY="sk-wrong", OPENAI_BASE_URL=model_server)["Model"]
    assert wrong[0].startswith("TROUBLE")
    assert "refuses the key (401); set OPENAI_API_KEY" in wrong[0]
    unknown = examined(project, 1, OPENAI_API_KEY=KEY, OPENAI_BASE_URL=model_server, AGENT_MODEL="gpt-9")
    assert f"does not list gpt-9; set AGENT_MODEL to one of {DEFAULT_MODEL}, llama3" in unknown["Model"][0]
    dead = examined(project, 1, OPENAI_BASE_URL="http://127.0.0.1:9/v1")
    assert "does not answer" in dead["Model"][0]


def test_a_dead_gateway_and_a_dead_store_are_trouble(project: Path):
    store = f"http://user:{KEY}@127.0.0.1:9/tensorzero"
    findings = examined(
        project, 1, TENSORZERO_GATEWAY_URL="http://127.0.0.1:9", TENSORZERO_CLICKHOUSE_URL=store
    )
    assert "no gateway answers at http://127.0.0.1:9; start it (make up)" in findings["Gateway"][0]
    assert findings["ClickHouse"][0].startswith("TROUBLE")
    alone = examined(project, 1, TENSORZERO_GATEWAY_URL="http://127.0.0.1:9")
    assert "set TENSORZERO_CLICKHOUSE_URL" in alone["ClickHouse"][0]


async def test_a_key_that_only_a_model_names_is_not_shown(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
):
    """Here by a ClickHouse that quotes it."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = f"Code: 516. Authentication failed with {KEY}".encode()
            self.send_response(401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST

        def log_message(self, *words: object) -> None:
            pass

    config = Path(shutil.copytree(CONFIG, tmp_path / "config"))
    toml = '[models.m]\nrouting = ["p"]\n[models.m.providers.p]\ntype = "anthropic"\nmodel_name = "m"\n'
    (config / "models.toml").write_text(f'{toml}api_key_location = "env::TEAM_A"\n')
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("TEAM_A", KEY)
    monkeypatch.setenv("TENSORZERO_CLICKHOUSE_URL", f"http://127.0.0.1:{server.server_port}/tensorzero")
    try:
        examination = await doctor.examine(models=["offline-player"], env_file=None, config=config, data=data)
    finally:
        server.shutdown()
        server.server_close()
    (store,) = (finding for finding in examination.findings if finding.part == "ClickHouse")
    assert "Authentication failed with ***" in store.text


def test_a_setting_that_is_not_valid_is_trouble(project: Path):
    findings = examined(project, 1, "--ask", AGENT_TIMEOUT_MS="soon")
    assert "AGENT_TIMEOUT_MS" in findings["Settings"][0]
    assert findings["verdict"] == ["1 problem."]


def test_what_is_set_without_an_effect_is_told(project: Path):
    (note,) = examined(project, 0, AGENT_MODEL="llama3")["Settings"]
    assert note.startswith(
        "note    Settings    AGENT_MODEL=llama3 has no effect without a model server; set "
    )


def test_toml_of_another_shape_is_trouble(project: Path):
    (project / "config").unlink()
    shutil.copytree(CONFIG, project / "config")
    (project / "config/finetuned").mkdir()
    (project / "config/finetuned/x.toml").write_text("models = 5\n")
    assert "x.toml: models must be a table" in examined(project, 1)["Settings"][0]


def test_a_port_in_use_is_reported(project: Path):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 4000))
            taken.listen()
        except OSError:
            pytest.skip("port 4000 is in use on this machine")
        findings = examined(project, 0)
    assert any("4000 (UI of make up) is in use; stop its program" in line for line in findings["Ports"])


def test_a_finding_fits_a_terminal_and_keeps_addresses_whole():
    address = "http://" + "x" * 90
    lines = Finding("note", "Model", f"{'seven words that are hyphen-ated, too ' * 6}{address}").in_columns()
    first, *rest = lines.splitlines()
    assert first.startswith("note    Model       seven words")
    assert all(line.startswith(" " * 20) and line[20] != " " for line in rest)
    assert [len(line) > 79 for line in (first, *rest)] == [False] * len(rest) + [True]
    assert rest[-1].strip() == address


def test_an_old_python_is_refused_before_anything_is_imported(project: Path):
    paths = [shutil.which(f"python3.{minor}") for minor in (9, 8, 7)]
    paths += [str(p) for p in sorted(Path.home().glob(".pyenv/versions/3.[6-9].*/bin/python"), reverse=True)]
    old = next((p for p in paths if p and works(p)), None)
    if old is None:
        pytest.skip("no Python older than 3.10 on this machine")
    process = subprocess.run([old, "-m", "babyai_kit", "doctor"], cwd=project, capture_output=True, text=True)
    assert process.returncode == 1
    assert "3.10 to 3.13 is needed" in process.stderr
    assert "Traceback" not in process.stderr


def works(python: str) -> bool:
    return subprocess.run([python, "-c", ""], capture_output=True).returncode == 0


def test_a_wrong_python_and_missing_packages_are_trouble(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor.sys, "version_info", (3, 14, 0))
    assert doctor.python().grade == "TROUBLE"
    monkeypatch.setattr(doctor.sys, "version_info", (3, 12, 1))
    assert doctor.python().grade == "ok"
    real = metadata.version

    def version(name: str) -> str:
        if name == "chdb":
            raise metadata.PackageNotFoundError(name)
        return "0.0.1" if name == "tqdm" else real(name)

    monkeypatch.setattr(doctor.metadata, "version", version)
    findings = doctor.packages()
    assert findings.grade == "TROUBLE"
    assert "chdb is missing" in findings.text
    assert "tqdm 0.0.1 is not" in findings.text
    assert "; type: " in findings.text


def test_a_missing_package_is_reported_in_one_line(project: Path):
    script = (
        "import sys, runpy; sys.modules['gymnasium'] = None; sys.argv = ['babyai_kit', 'doctor'];"
        "runpy.run_module('babyai_kit', run_name='__main__')"
    )
    process = subprocess.run([sys.executable, "-c", script], cwd=project, capture_output=True, text=True)
    assert process.returncode == 1
    assert process.stderr.startswith("error: the package gymnasium is missing; type: ")
