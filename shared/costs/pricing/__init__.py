"""Prices: where they come from, since when, and what a call costs by them.

``rates`` and ``arithmetic`` are pure; ``book`` reads price files; ``genai`` asks the
``genai-prices`` package; ``catalogue`` is the way in. What was read is remembered in the cost storage.
"""
