"""Programs that try to break the ledger, the store and the gate; each runs by its path or with ``-m``."""
