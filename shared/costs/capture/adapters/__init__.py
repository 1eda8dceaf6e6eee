"""One file per provider, found by listing this folder. Each without ``_`` defines an ``Adapter``."""
