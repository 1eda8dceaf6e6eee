"""One file per provider, found by this folder: each defines ``ADAPTER``. Files with ``_`` are shared."""
