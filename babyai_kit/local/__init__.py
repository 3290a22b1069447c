"""Stand-ins for services that may be missing: a ClickHouse server, an offline player, a small language model.

Each serves on 127.0.0.1 what the real service would. The rest of the kit does not depend on how they work.
"""
