"""Configuration: the user's settings, the variants and prices under `config/`, models, addresses and ports.

Reads files and the environment; starts nothing and contacts nobody.
"""
