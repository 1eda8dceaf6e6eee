"""The source of truth: append-only ledgers with one entry per line, one ledger for each job.

``line`` is the format, ``writer`` appends durably, ``reader`` reads whole lines and reports the others,
``spool`` keeps lines whose ledger cannot be written, ``recorder`` combines these so that recording never
fails, ``verify`` accounts for every byte.
"""
