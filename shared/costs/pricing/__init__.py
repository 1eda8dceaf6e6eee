"""Prices: where they come from, since when, and what a call costs by them.

``rates`` and ``arithmetic`` are pure; ``names`` reads what calls call a model; ``book`` holds price files
and ``table`` what other tables agree on; ``genai`` asks the ``genai-prices`` package; ``composition`` puts a
price together from those and the rules; ``catalogue`` is the way in. What was read is remembered in the
cost storage. ``check`` and ``coverage`` say what is doubtful and how far prices reach.
"""
