"""One module a row; each has `measure(bench) -> Row`."""
