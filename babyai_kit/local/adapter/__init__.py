"""The adapter: an OpenAI-compatible server between the gateway and a model server as they are.

The gateway passes on neither a status beyond four nor Retry-After, and cannot read answers of odd form. The
adapter hands it clean answers, and failures in a form that says what they are (`failures`).
"""

from babyai_kit.local.adapter.embeddings import EmbeddingClient
from babyai_kit.local.adapter.server import Adapter

__all__ = ["Adapter", "EmbeddingClient"]
