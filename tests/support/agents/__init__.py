"""Real command-line agents, run against servers of known usage: what their logs say is what was billed."""
