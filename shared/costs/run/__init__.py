"""``cost-dashboard run``: records the AI calls of any program without changing it.

``program`` starts the program with ``bootstrap`` first on its ``PYTHONPATH``. In each Python process of it,
``child`` then waits for AI libraries to be imported, and wraps the methods of SDKs that are known, or has the
installed OpenTelemetry instrumentation report every call.
"""
