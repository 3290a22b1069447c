"""Which versions of Python the kit supports. Imports nothing but `sys`, so that any Python can be asked."""

import sys

MIN_PYTHON, MAX_PYTHON = (3, 10), (3, 13)
SUPPORTED = f"{MIN_PYTHON[0]}.{MIN_PYTHON[1]} to {MAX_PYTHON[0]}.{MAX_PYTHON[1]}"


def is_supported() -> bool:
    """True if the running Python is one of them."""
    return MIN_PYTHON <= sys.version_info[:2] <= MAX_PYTHON
