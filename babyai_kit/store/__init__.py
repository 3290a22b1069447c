"""ClickHouse from the client's side: connecting, querying, and telling which episodes it holds whole."""
