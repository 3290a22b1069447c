"""The gateway: how it is found or started, and everything the kit asks of it.

`protocol` says what the kit needs of a gateway, `tensorzero_client` is the one module that imports
TensorZero, `session` is an open gateway with its model and store, and `connect` opens one.
"""
