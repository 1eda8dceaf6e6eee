"""Comparing what was recorded with what a provider bills, line by line or sum by sum, with reasons.

``calls.py`` reads our calls; ``sums.py`` adds both sides up by model, tier and day and ``reasons.py`` says
why they differ; ``joining.py`` compares lines that are single calls; ``adjusting.py`` writes what follows.
"""
