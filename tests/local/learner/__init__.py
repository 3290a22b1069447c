NO_TORCH = "needs PyTorch, the extra 'learner': python -m babyai_kit.local.learner.install"
