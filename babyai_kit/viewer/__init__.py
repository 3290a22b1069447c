"""The viewer: a web application of this machine over the runs under a folder of results.

`growing_file`, `step_index`, `run_parts` and `run_index` follow a run's files, and `contents` is what they
hold at one moment. `run_table` with `agent_rows` and `plan_rows`, `comparison`, `search` and `drawing` make
of it what the browser shows; `failure_queue` finds classes of failure in a process of its own. `library`
holds the runs, `server`, `guard`, `routes` and `live` answer the browser, `play` with `game` lets a person
play, `export` writes static files, and `notebook` has `view`. `app/` is what runs in the browser.
"""
