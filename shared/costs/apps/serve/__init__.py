"""``cost-dashboard serve``: the reports in a browser, for the one account that owns the cost storage."""
