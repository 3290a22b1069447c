"""The browser of the tests in this folder."""

from tests.support.browser import browser, seen

__all__ = ["browser", "seen"]
