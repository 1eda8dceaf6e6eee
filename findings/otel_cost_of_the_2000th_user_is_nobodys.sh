#!/usr/bin/env bash
# opentelemetry-sdk 1.45.2 (Python) and @opentelemetry/sdk-metrics 2.12.1 (npm): a counter of costs by user knows the first
# 2,000 users of a process; all later ones are one series without a user, and a query for one of them finds nothing.
#
# An SDK keeps 2,000 sets of attributes for a metric and adds what comes beyond to a series whose only attribute is
# `otel.metric.overflow`. The total stays right, so that nothing looks wrong. Sets, not users, are counted: 40 users with 50
# models are 2,000. Which ones have their own series is decided by who came first after the start, and each restart and each
# host has others; a limit by user that asks a metric lets the 2,001st spend what they like. Specified at
# https://opentelemetry.io/docs/specs/otel/metrics/sdk/#cardinality-limits.
#
# What to do: a view with a limit of your own, and an alert on `otel.metric.overflow`; costs by user or job belong in a
# ledger.
#
# Seen on 2026-11-30 with Python 3.11 and Node 20; 2,500 users spend $1 each:
#   python      series 2001, without a user $500, the 2,500th user none
#   javascript  series 2000, without a user $501, the 2,500th user none
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "opentelemetry-sdk==1.45.2" 2>/dev/null
cd "$folder"
npm init --yes >/dev/null
npm install --no-audit --no-fund --loglevel=error @opentelemetry/sdk-metrics@2.12.1 >/dev/null 2>&1
env/bin/python - <<'PYTHON'
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

reader = InMemoryMetricReader()
cost = MeterProvider([reader]).get_meter("costs").create_counter("cost", unit="{USD}")
for user in range(2_500):
    cost.add(1, {"user": str(user)})
points = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
nobody = [point.value for point in points if "user" not in point.attributes]
last = [point.value for point in points if point.attributes.get("user") == "2499"]
print(f"python      series {len(points)}, without a user ${sum(nobody)}, the 2,500th user {last or 'none'}")
assert (len(points), nobody, last) == (2001, [500], []), (len(points), nobody, last)
PYTHON
cat >cost.js <<'JS'
const assert = require("node:assert");
const sdk = require("@opentelemetry/sdk-metrics");
const exporter = new sdk.InMemoryMetricExporter(sdk.AggregationTemporality.CUMULATIVE);
const reader = new sdk.PeriodicExportingMetricReader({ exporter });
const provider = new sdk.MeterProvider({ readers: [reader] });
const cost = provider.getMeter("costs").createCounter("cost", { unit: "{USD}" });
for (let user = 0; user < 2500; user++) cost.add(1, { user: String(user) });
provider.forceFlush().then(() => {
  const points = exporter.getMetrics()[0].scopeMetrics[0].metrics[0].dataPoints;
  const nobody = points.filter((each) => each.attributes.user === undefined).map((each) => each.value);
  const last = points.filter((each) => each.attributes.user === "2499");
  console.log(`javascript  series ${points.length}, without a user $${nobody}, the 2,500th user ${last.length || "none"}`);
  assert.deepEqual([points.length, nobody, last.length], [2000, [501], 0]);
  return provider.shutdown();
});
JS
node cost.js
