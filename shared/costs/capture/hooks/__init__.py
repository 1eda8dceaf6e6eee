"""Hooks into other libraries. Each file needs its library, and is imported by its name alone."""
