"""Closed months in Parquet: where they lie, what says that they are whole, and reading them back.

An archive is a folder, or a prefix on storage that speaks S3:

    _manifest.json                       what the archive holds, written last
    month=2026-08/part-*.parquet         the entries whose billing month is 2026-08

The manifest alone decides: a part that it does not name is not in the archive. Programs that list files
themselves leave out names that begin with an underscore, as Hive, Spark and Trino do. A part has the columns
of the export (``ledger/columns.py``), and after them the billing day and month in the zone of the entry's
user, the number of its ledger in the manifest, and where its line began there. So a ledger that is held whole
can be written again from its rows, to the byte.
"""
