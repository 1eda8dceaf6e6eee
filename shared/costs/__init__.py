"""Everything behind ``shared.cost_tracker`` and ``shared.user_profile``.

Stage scripts import only those two modules. The packages in here depend on each other in one
direction, from the pure types (``model``, ``money``, ``periods``, ``errors``) up to ``apps``;
``tests/test_layers.py`` enforces it.
"""

__version__ = "0.1.0"
