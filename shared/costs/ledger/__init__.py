"""The truth: append-only ledgers of one entry a line, one ledger for each job.

``line`` is the format, ``writer`` appends durably, ``reader`` reads what is whole and reports what is
not, ``spool`` keeps lines whose ledger cannot be written, ``recorder`` ties these together so that
recording never fails, ``verify`` accounts for every byte.
"""
