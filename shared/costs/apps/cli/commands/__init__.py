"""One module for each command, named like it: ``show_budget.py`` is ``cost-dashboard show-budget``.

A module has ``command``, made with :func:`~..app.dashboard_command`. It is imported when its
command is called; adding a command is adding one file.
"""
