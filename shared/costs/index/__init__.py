"""What is derived from the ledgers, and the little that cannot be: two SQLite files.

``index.db`` holds sums, seen ids and how far each ledger was taken in. It may be deleted at any
time. ``state.db`` holds what no ledger tells: where ledgers lie, who may be writing to them,
reservations and fired alerts.
"""
