"""What people meet: the command line. Each parses a question, asks a report, and shows it in a format."""
