"""Agents: what one remembers, how it asks the model, and how an answer becomes an action.

An agent knows nothing of gateways, concurrency or files.
"""
