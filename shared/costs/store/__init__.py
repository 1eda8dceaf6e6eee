"""What is derived from the ledgers, and what must outlive them. README.md explains it before the code."""
