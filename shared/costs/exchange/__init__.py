"""Entries out to files that other programs read, and in from the files of other tools.

Exports and imports are found by their folders: one file in ``exports`` is one format to write, one
file in ``imports`` one format to read.
"""
