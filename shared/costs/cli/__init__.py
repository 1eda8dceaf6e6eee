"""The former place of the command line, which installed scripts still name."""
