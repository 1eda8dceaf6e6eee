"""A sample history to look at: three months of a small team, invented and the same for the same seed.

It has what a real one has: local and paid models, retries, a price that rises, a job that ran away,
calls without a price, corrections, and one damaged line.
"""
