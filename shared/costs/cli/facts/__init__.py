"""Asks the workspace for the facts that views show, one module a view.

Questions only: what sums, shares and projections mean is the analyses' matter.
"""
