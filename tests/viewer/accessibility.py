"""What axe-core finds wrong with a page of the viewer, in both themes."""

from __future__ import annotations

from typing import Any

import pytest

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


def check_accessible(page: Any, what: str = "") -> None:
    """Fails with axe-core's violations on `page`, light and dark; skips where axe-core is not installed."""
    axe = pytest.importorskip("axe_playwright_python.base", reason="axe-playwright-python is not installed")
    page.evaluate(axe.AXE_SCRIPT)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        result = page.evaluate("rules => axe.run(document, rules)", RULES)
        problems = [_line(one) for one in result["violations"]]
        assert not problems, "\n".join([f"{what} {scheme}", *problems])
    page.emulate_media(color_scheme="light")


def _line(violation: dict[str, Any]) -> str:
    nodes = [
        f"{node['target']}: {node['failureSummary']} {node['html'][:200]}" for node in violation["nodes"]
    ]
    return f"{violation['id']}: {violation['help']}\n  " + "\n  ".join(nodes[:5])
