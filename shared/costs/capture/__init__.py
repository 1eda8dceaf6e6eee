"""What providers' own objects say a call used, read and normalised: responses, streams, hooks.

Nothing here prices or writes; a :class:`~shared.costs.capture.captured.Captured` call goes to a
``Sink``, which the tracker is.
"""
