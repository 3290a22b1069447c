"""Which HTTP status goes with which ClickHouse error, as ClickHouse's own server answers."""

from __future__ import annotations

_STATUS = {
    404: (46, 47, 60, 79, 81, 141, 482),
    403: (164, 291, 452, 497, 692),
    400: (
        6, 26, 27, 33, 36, 38, 39, 41, 42, 43, 44, 50, 53, 62, 63, 69, 70, 72, 73, 115, 117, 130, 131, 190,
        321, 349, 354, 376, 441, 456, 457, 467, 469, 636,
    ),
    401: (192, 193, 194, 516),
    413: (307,),
    408: (159, 209),
    501: (1, 48, 344),
    503: (202, 203, 241, 243),
}  # fmt: skip
_BY_CODE = {code: status for status, codes in _STATUS.items() for code in codes}


def http_status(code: int) -> int:
    """HTTP status for a ClickHouse error code; 500 where there is none that says more."""
    return _BY_CODE.get(code, 500)
