"""Learning from experience: choose episodes, fine-tune on them, register the model, measure the gain.

Modules, in the order of the work: `episode_sources` (what a run recorded, as the model saw it),
`experience` (the same, as another variant would have seen it),
`curation`, `plan_settings`, `examples` and `curated_metric` (what is worth learning from), `export` and
`costs` (training files and what a job on them takes), `server`, `http_client`, `provider`, `job_answers` and
`refusals` (a server and what it answers), `job`, `job_control` and `optimization_workflow` (launching and
waiting, in two ways), `ui_form` (what to fill in in TensorZero's form), `registration` (a model becomes a
variant), `evaluation` (the gain on the test block), `names` and `improvement` (all of it, in rounds).
`runs.seed_blocks` says which seeds each part may use.
"""

from babyai_kit.finetune.costs import TrainingEstimate, estimate_training
from babyai_kit.finetune.curation import Curation, curate
from babyai_kit.finetune.evaluation import Evaluation, assess, evaluate
from babyai_kit.finetune.examples import Example
from babyai_kit.finetune.experience import player_name
from babyai_kit.finetune.export import Export, export, read_export
from babyai_kit.finetune.improvement import Improvement, Round, improve
from babyai_kit.finetune.job import Job, read_job
from babyai_kit.finetune.job_control import cancel, launch, poll, server_of, wait
from babyai_kit.finetune.names import job_suffix, part_name, tuned_name
from babyai_kit.finetune.optimization_workflow import launch_workflow
from babyai_kit.finetune.plan_settings import PlaySettings, latest_settings
from babyai_kit.finetune.registration import register_variant, unregister_variant
from babyai_kit.finetune.server import Server
from babyai_kit.finetune.ui_form import form_guide
from babyai_kit.runs.seed_blocks import BASE, BLOCKS, TEST, TRAIN, VALIDATION, check_block, start_overlap

__all__ = [
    "BASE",
    "BLOCKS",
    "TEST",
    "TRAIN",
    "VALIDATION",
    "Curation",
    "Evaluation",
    "Example",
    "Export",
    "Improvement",
    "Job",
    "PlaySettings",
    "Round",
    "Server",
    "TrainingEstimate",
    "assess",
    "cancel",
    "check_block",
    "curate",
    "estimate_training",
    "evaluate",
    "export",
    "form_guide",
    "improve",
    "job_suffix",
    "latest_settings",
    "launch",
    "launch_workflow",
    "part_name",
    "player_name",
    "poll",
    "read_export",
    "read_job",
    "register_variant",
    "server_of",
    "start_overlap",
    "tuned_name",
    "unregister_variant",
    "wait",
]
