"""Shares the name ``shared`` with a host pipeline's own package of that name."""

import pkgutil

__path__ = pkgutil.extend_path(__path__, __name__)
