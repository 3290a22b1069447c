"""The viewer: a web application of this machine over the runs under a folder of results, which it only reads.

`run_parts`, `step_index` and `run_index` follow a run's files, `run_table` and `agent_rows` make what the
browser shows, `library` holds the runs, `server`, `guard` and `routes` answer the browser. `app/` is what
runs there, in plain JavaScript.
"""
