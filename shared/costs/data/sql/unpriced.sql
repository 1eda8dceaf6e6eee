-- The calls without a price, or with only a part of one, by model and billing month.
SELECT
    billing_month,
    service,
    model,
    cost_state,
    CAST(count(*) AS BIGINT) AS entries,
    CAST(sum(tokens_input + tokens_output) AS BIGINT) AS tokens
FROM entries
WHERE kind = 'usage' AND cost_state <> 'whole'
GROUP BY billing_month, service, model, cost_state
ORDER BY billing_month, service, model, cost_state
