"""Reading what a call used from a provider's own responses and streams, and from hooks into libraries.

Nothing here prices or writes; a :class:`~shared.costs.capture.captured.Captured` call goes to a
``Sink``, which the tracker is.
"""
