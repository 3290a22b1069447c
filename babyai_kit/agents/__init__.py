"""Agents: what one remembers, how it asks the model, and how an answer becomes an action.

Knows the input of the function `act` and the action names; nothing of gateways, concurrency or files.
"""
