"""One module for each row, with a function `measure(bench) -> Row`."""
