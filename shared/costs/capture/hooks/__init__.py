"""Hooks into other libraries. Each file needs its library, so import the one that you use by its name."""
