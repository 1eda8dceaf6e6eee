"""Prices: where they come from, since when, and what a call costs by them.

``rates`` and ``arithmetic`` are pure; ``book`` reads price files; ``genai`` asks the
``genai-prices`` package; ``memory`` remembers both; ``catalogue`` is the way in.
"""
