"""Experiments: a plan carried out, from the checks before the first call to the comparison after the last.

`experiment` has the order of things, `runner` plays all episodes at once, `episode` plays one.
"""
