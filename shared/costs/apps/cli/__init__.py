"""``cost-dashboard``: commands parse, call and print. What figures mean is decided elsewhere."""
