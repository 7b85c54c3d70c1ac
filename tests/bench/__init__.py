"""Benchmarks of dfgen against other tools and against a theoretical limit; `make bench` runs all rows."""
