"""Budgets: limits and crossings (pure), alerts sent once, and the gate that enforces a limit."""
