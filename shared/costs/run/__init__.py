"""``cost-dashboard run``: any program's AI calls in the ledger, without a changed line in it.

``program`` starts it, with ``bootstrap`` first on its ``PYTHONPATH``. In each Python process that it
becomes or starts, ``child`` then waits for AI libraries to be imported, and has the OpenTelemetry
instrumentation that is installed for them report every call.
"""
