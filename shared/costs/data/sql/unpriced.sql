-- The calls that still have no price, or only a part of one, by model and billing month.
SELECT
    billing_month,
    service,
    model,
    CAST(sum(unpriced_delta) AS BIGINT) AS unpriced_calls,
    CAST(sum(partial_delta) AS BIGINT) AS partial_calls
FROM entries
GROUP BY billing_month, service, model
HAVING sum(unpriced_delta) <> 0 OR sum(partial_delta) <> 0
ORDER BY billing_month, service, model
