"""Budgets: limits and crossings (pure), alerts fired once, and the gate that holds a limit."""
