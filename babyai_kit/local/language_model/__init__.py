"""A pretrained language model that plays and learns on this machine: SmolLM2-135M-Instruct, in PyTorch.

Needs the extra `llm` and the weights, which `python -m babyai_kit.local.install llm` brings; nothing else of
the kit does, and this module can be imported without them.
"""
