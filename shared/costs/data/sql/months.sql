-- What each billing month cost.
SELECT
    billing_month,
    CAST(sum(sign) AS BIGINT) AS calls,
    CAST(sum(unpriced_delta) AS BIGINT) AS unpriced_calls,
    CAST(sum(partial_delta) AS BIGINT) AS partial_calls,
    CAST(sum(sign * tokens_input) AS BIGINT) AS tokens_input,
    CAST(sum(sign * tokens_output) AS BIGINT) AS tokens_output,
    CAST(coalesce(sum(cost_usd), 0) AS DECIMAL(28, 9)) AS cost_usd
FROM entries
GROUP BY billing_month
ORDER BY billing_month
