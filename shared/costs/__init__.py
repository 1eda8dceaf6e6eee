"""Everything behind ``shared.cost_tracker`` and ``shared.user_profile``.

Stage scripts import only those two façades. The rooms in here depend on each other in one
direction, from the pure types (``model``, ``money``, ``periods``, ``errors``) up to ``cli``;
``tests/test_layers.py`` enforces it.
"""

__version__ = "0.1.0"
