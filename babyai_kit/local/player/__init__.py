"""The offline player: an OpenAI-compatible server on loopback that needs no key and is no LLM.

It stands in for a hosted model wherever there is none (a first run, the tests, the benchmarks), and it
is the tests' double: answers can be scripted, delayed and spoiled. Its figures say nothing about any
language model.

Rooms: `prompt` reads the chat messages, `policy` chooses an action, `request` and `answer` know the
protocol, `tokens` counts, `faults` spoils, `stats` counts, `server` joins them, `cli` starts them. For
fine-tuning: `files`, `jobs` and `tuning` keep and work, `job_routes` and `job_request` speak, `examples`
checks, `training` is what a trainer has to offer, and `learning` is the hand-written player's.
"""

from babyai_kit.local.player.chat_request import ChatRequest
from babyai_kit.local.player.faults import Fault, FaultPlan
from babyai_kit.local.player.server import OfflinePlayer, serve

__all__ = [
    "ChatRequest",
    "Fault",
    "FaultPlan",
    "OfflinePlayer",
    "serve",
]
