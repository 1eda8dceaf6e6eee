"""What the figures mean: pure functions over sums and entries. No I/O; ``now`` is an argument."""
