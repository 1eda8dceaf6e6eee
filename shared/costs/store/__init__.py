"""What was counted, and what is held: SQLite and the files of the cost storage stay inside."""
