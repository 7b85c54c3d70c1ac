"""What dfgen costs beside what it could cost at best; `make bench` runs every row."""
