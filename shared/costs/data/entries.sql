-- The rows that are stored, with what each line changes in the number of calls, of unpriced and of partial ones.
SELECT
    *,
    CASE kind WHEN 'usage' THEN 1 WHEN 'reversal' THEN -1 ELSE 0 END AS sign,
    CASE WHEN kind = 'usage' THEN CASE WHEN cost_usd IS NULL THEN 1 ELSE 0 END
         WHEN resolves_unpriced THEN -1 ELSE 0 END AS unpriced_delta,
    CASE WHEN cost_state = 'partial' THEN 1 ELSE 0 END
        - CASE WHEN resolves_partial THEN 1 ELSE 0 END AS partial_delta
FROM stored
