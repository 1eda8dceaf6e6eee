"""Benchmarks: each measures one thing beside its floor and its peers in one run, and prints a table."""
