"""Budgets that several hosts share, through PostgreSQL: see ``SCALING.md`` beside this package."""
