"""Reports of other programs' files: one file a report with a ``SPEC``, as in :mod:`shared.costs.reports`."""
