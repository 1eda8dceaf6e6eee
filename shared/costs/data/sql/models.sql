-- What each model cost in a billing month.
SELECT
    billing_month,
    service,
    model,
    CAST(sum(CASE kind WHEN 'usage' THEN 1 WHEN 'reversal' THEN -1 ELSE 0 END) AS BIGINT) AS calls,
    CAST(sum(CASE WHEN kind = 'usage' THEN CASE WHEN cost_usd IS NULL THEN 1 ELSE 0 END
                  WHEN resolves_unpriced THEN -1 ELSE 0 END) AS BIGINT) AS unpriced_calls,
    CAST(sum(CASE kind WHEN 'usage' THEN tokens_input WHEN 'reversal' THEN -tokens_input ELSE 0 END)
        AS BIGINT) AS tokens_input,
    CAST(sum(CASE kind WHEN 'usage' THEN tokens_output WHEN 'reversal' THEN -tokens_output ELSE 0 END)
        AS BIGINT) AS tokens_output,
    CAST(coalesce(sum(cost_usd), 0) AS DECIMAL(28, 9)) AS cost_usd
FROM entries
GROUP BY billing_month, service, model
ORDER BY billing_month, service NULLS LAST, model NULLS LAST
