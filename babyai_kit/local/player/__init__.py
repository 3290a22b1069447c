"""The offline player: an OpenAI-compatible server on loopback that needs no key and is no LLM.

It stands in for a hosted model wherever there is none (a first run, the tests, the benchmarks), and it
is the tests' double: answers can be scripted, delayed and spoiled. Its results say nothing about any
language model.

Playing: `prompt` reads the chat messages, `policy` chooses an action, `policy_answer` writes it as JSON.
Chat completions: `chat_request`, `completion`, `stream`, `logprobs` and `chat_endpoint`; `faults` spoils,
`call_counts` counts. Beside them: `embedding_endpoint` and `model_endpoint`.
Fine-tuning: `file_store` and `file_endpoint`; `job_store`, `fine_tuning` and `job_endpoint`; `training_file`
reads examples, `hyperparameters` are what a job may choose, `count_table` is how the hand-written player
learns.
Other kinds of models: `trainer` is what one has to offer, `lazy_trainer` loads one when it is first used, and
`model_directory` knows who answers under which name.
Shared: `request_bodies` and `validation`, `protocol` (errors, pages, where the API is) and `guard` (who may
ask); `server` joins everything.
"""

from babyai_kit.local.player.chat_request import ChatRequest
from babyai_kit.local.player.faults import Fault, FaultPlan
from babyai_kit.local.player.server import OfflinePlayer, serve

__all__ = ["ChatRequest", "Fault", "FaultPlan", "OfflinePlayer", "serve"]
