"""Runs: what a run plans and what it leaves on disk.

`plan` and `seed_blocks` say which episodes are owed, `records` what a step and an episode are, `journal` and
`manifest` how they lie on disk, and `run` opens all of it: `Run.open("first")`. Nothing here needs a gateway,
a store or a model.
"""
