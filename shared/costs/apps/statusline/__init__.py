"""One line for a shell's prompt, tmux or an agent's status hook: quick, and never a failure to look at."""
