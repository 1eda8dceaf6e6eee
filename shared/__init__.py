"""Shares the name ``shared`` with a host pipeline's own package of that name."""

import sys
from os.path import abspath, isdir, isfile, join

if any(map(isfile, sys.path)):  # a zip may have one, which the import system alone can see
    import pkgutil

    __path__ = pkgutil.extend_path(__path__, __name__)
else:  # the same for folders, without an import that every stage would pay for
    __path__ += [
        folder
        for entry in sys.path
        if isdir(folder := abspath(join(entry, __name__))) and folder not in __path__
    ]
