"""What dfgen talks about, as values that know nothing of catalogs, files or networks."""
