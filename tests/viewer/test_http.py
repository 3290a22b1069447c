"""Who is answered, by which addresses and methods, and with which headers."""

from __future__ import annotations

import json

import pytest

from tests.viewer.answers import ask


def test_the_page_and_its_files_are_served(viewer: str) -> None:
    status, headers, body = ask(viewer)
    assert status == 200
    assert b"app/core.js" in body
    assert headers["Content-Type"].startswith("text/html")
    status, headers, body = ask(viewer, "app/core.js")
    assert status == 200
    assert headers["Content-Type"].startswith("text/javascript")
    assert ask(viewer, "app/style.css")[1]["Content-Type"].startswith("text/css")


@pytest.mark.parametrize("path", ["", "app/core.js", "app/no.js", "api/runs", "api/runs/nothing", "nothing"])
def test_every_answer_has_the_headers_that_keep_it_here(viewer: str, path: str) -> None:
    _, headers, _ = ask(viewer, path)
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:80"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Referer": "http://evil.example/page"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "no-cors"},
    ],
)
def test_foreign_pages_are_refused(viewer: str, headers: dict[str, str]) -> None:
    status, _, body = ask(viewer, "api/runs", **headers)
    assert status == 403
    assert json.loads(body)["error"].endswith("open the address that the command printed")


def test_a_link_from_elsewhere_leads_to_the_page_alone(viewer: str) -> None:
    link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Referer": "http://localhost:8888/"}
    assert ask(viewer, **link)[0] == 200
    assert ask(viewer, "api/runs", **link)[0] == 403
    assert ask(viewer, Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="cors")[0] == 403
    assert ask(viewer, Host="evil.example", Sec_Fetch_Mode="navigate")[0] == 403


@pytest.mark.parametrize("path", ["/", "/x/", "/x/api/runs", "/api/runs", "/favicon.ico", "//", "/%00/"])
def test_without_the_token_there_is_nothing(viewer: str, path: str) -> None:
    status, _, body = ask(viewer, path)
    assert status == 404
    assert "token" in json.loads(body)["error"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_refused(viewer: str, method: str) -> None:
    for path in ("", "api/runs", "api/runs/first", "app/core.js"):
        assert ask(viewer, path, method)[0] == 405


@pytest.mark.parametrize(
    "path",
    [
        "app/../server.py",
        "app/%2e%2e%2fserver.py",
        "app/index.html",
        "app/",
        "api/runs/..%2f..",
        "api/runs/nothing",
        "api/runs/first/episodes/nothing",
        "api/runs/first/episodes/..%2frun.json",
        "api/nothing",
    ],
)
def test_what_is_not_there_is_said_in_a_line(viewer: str, path: str) -> None:
    status, _, body = ask(viewer, path)
    assert status == 404
    message = json.loads(body)["error"]
    assert message
    assert "\n" not in message


def test_a_table_that_did_not_change_is_not_sent_again(viewer: str) -> None:
    status, headers, body = ask(viewer, "api/runs/second")
    assert status == 200
    assert len(body) > 1000
    assert ask(viewer, "api/runs/second", If_None_Match=headers["ETag"])[0] == 304
