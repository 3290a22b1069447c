"""The one place that imports TensorZero's client, after its log level is set.

The Rust side reads `RUST_LOG` once, at import, and then writes a line to stderr for every failed call,
which the kit already reports as an error. Export `RUST_LOG=warn` to see its log.
"""

from __future__ import annotations

import os

os.environ.setdefault("RUST_LOG", "off")

from tensorzero import (
    AsyncTensorZeroGateway,
    BaseTensorZeroError,
    CreateDatapointsFromInferenceRequestParamsInferenceIds,
    InferenceFilterBooleanMetric,
    InferenceFilterTag,
    ListDatapointsRequest,
    ListInferencesRequest,
    TensorZeroError,
)
from tensorzero.util import uuid7

__all__ = [
    "AsyncTensorZeroGateway",
    "BaseTensorZeroError",
    "CreateDatapointsFromInferenceRequestParamsInferenceIds",
    "InferenceFilterBooleanMetric",
    "InferenceFilterTag",
    "ListDatapointsRequest",
    "ListInferencesRequest",
    "TensorZeroError",
    "uuid7",
]
