"""The real command-line agents run against servers of known usage: the import equals what was billed.

    .venv/bin/python -m scripts.agents                     # all of them; 1.5 GB from npm, some minutes
    .venv/bin/python -m scripts.agents claude-code codex
    .venv/bin/python -m scripts.agents --record            # write the tests' recordings anew

Each agent is installed at a pinned version in an environment of its own (``--at DIR`` keeps it), and run
against a loopback provider that bills every answer another amount: whole, with tools, interrupted, resumed,
forked, with sub-agents. Its logs are imported, and stand beside what the server billed, what the agent keeps
no record of, and what ccusage and tokscale make of the same files. The exit code is 1 where an import is not
what was billed, less what the agent keeps no record of.
"""
