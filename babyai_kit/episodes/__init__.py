"""The `episodes` table of a run, from either of its two records: the journal or ClickHouse."""
