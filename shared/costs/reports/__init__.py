"""One module a view. A view is pure: facts in, a neutral :class:`~.report.Report` out."""
