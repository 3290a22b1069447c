"""`view`, as a command in a process of its own and as a cell's value in a notebook."""

from __future__ import annotations

import http.server
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import babyai_kit
from babyai_kit.errors import InputError
from tests.support.processes import environment
from tests.support.project import ROOT
from tests.viewer.answers import ask, data
from tests.viewer.conftest import Seen


@contextmanager
def command(*words: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "babyai_kit", "view", *words],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("runs", "place"),
    [
        (["first"], "#/run?run=first"),
        (
            ["first", "second"],
            "#/compare?a=first&a.agent=baseline&a.model=offline-player"
            "&b=second&b.agent=history&b.model=offline-player",
        ),
    ],
)
def test_the_command_prints_its_address_and_ends(results: Path, runs: list[str], place: str) -> None:
    with command(*runs, "--results", str(results)) as process:
        assert process.stdout
        address, _, found = process.stdout.readline().strip().partition("#")
        assert f"#{found}" == place
        assert {run["run"] for run in data(address, "runs")} == {"first", "second"}
        assert data(address, "runs", "first")["classified"] < 1  # a process looks for them
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
        assert out == "the viewer has stopped; the runs are as they were\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nothing"], "no run 'nothing' under {results}; choose from second, first"),
        (["../x"], "run name '../x' is not valid"),
        (["--port", "{taken}"], "port {taken} cannot be used (Address already in use"),
        (["--port", "99999"], "port 99999 is not one; use 1 to 65535, or 0 for any"),
        (["--export", "{results}"], "there is nothing to export; name at least one run"),
        (["first", "--export", "{results}"], "holds something else than an earlier export"),
    ],
)
def test_what_cannot_be_done_is_said(results: Path, viewer: str, words: list[str], told: str) -> None:
    values = {"results": str(results), "taken": viewer.split(":")[2].split("/")[0]}
    with command(*(word.format(**values) for word in words), "--results", str(results)) as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert out == ""
    assert err.count("\n") == 1
    assert told.format(**values) in err


def test_the_command_exports(results: Path, tmp_path: Path) -> None:
    with command("second", "--results", str(results), "--export", str(tmp_path / "out")) as process:
        out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert out == f"{tmp_path / 'out' / 'index.html'}\n"
    assert (tmp_path / "out" / "data" / "run" / "second.js").is_file()


def test_a_view_serves_until_it_is_closed(results: Path, tmp_path: Path) -> None:
    view = babyai_kit.view("first", results=results)
    other = babyai_kit.view(results=str(results))
    assert view.url.endswith("#/run?run=first")
    address = view.url.partition("#")[0]
    assert other.url == address
    assert [run["run"] for run in data(address, "runs")] == ["second", "first"]
    view.close()
    view.close()
    assert ask(address)[0] == 200
    other.close()
    with pytest.raises(ConnectionError):
        ask(address)
    again = babyai_kit.view("second", results=results)
    assert again.url.partition("#")[0] != address
    assert again.export(tmp_path / "out") == tmp_path / "out" / "index.html"
    again.close()
    with pytest.raises(InputError, match="no run 'nothing'"):
        babyai_kit.view("nothing", results=results)


@contextmanager
def notebook(body: str) -> Iterator[str]:
    """A page on another port of this machine, as a notebook's server gives it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(f"<link rel='icon' href='data:,'>{body}".encode())

        def log_message(self, format: str, *args: Any) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_notebook_shows_the_viewer_in_a_frame(results: Path, seen: Seen, host: str) -> None:
    view = babyai_kit.view("first", results=results)
    with notebook(view._repr_html_()) as address:
        page = seen.open(address.replace("127.0.0.1", host))
        frame = page.frame_locator("iframe")
        frame.get_by_role("grid").first.wait_for()
        assert page.locator("a").get_attribute("href") == view.url
        assert seen.trouble == []
    view.close()


def test_the_command_s_viewer_is_in_no_frame(viewer: str, seen: Seen) -> None:
    with notebook(f"<iframe src='{viewer}'></iframe>") as address:
        page = seen.open(address)
        page.wait_for_function("() => true")
        assert any("frame-ancestors" in text for text in seen.trouble)
        assert page.frames[-1].url != viewer
