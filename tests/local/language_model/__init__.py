NO_LLM = "needs PyTorch and the weights, the extra 'llm': python -m babyai_kit.local.install llm"
