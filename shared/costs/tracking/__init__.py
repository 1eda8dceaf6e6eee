"""What happens behind ``CostTracker``: one call on its way to the ledger, stages, budget checks."""
