"""One module for each report: its question, the facts it reads, and the pure function that shows them."""
