#!/usr/bin/env bash
# node:sqlite (Node 22.23.3): user 12345 is written as '12345.0', and a counter of 9,007,199,254,740,993 nano-dollars to
# which one is added falls by one. Python's sqlite3 and sql.js, which use the same SQLite, write 12345.
#
# JavaScript has one type of number, and node:sqlite binds each as a floating one. A column of type INTEGER makes whole
# numbers of them again, so nothing is seen there. In a TEXT column they become text with ".0": what Node writes and what
# Python writes are two users, and no join finds them. In an expression they stay floating: `nanos + ?` is done in 53 bits,
# which $9 million fill, in a column that has 64; `? / 1000000`, whole in the shell, is not. A number read as text, or a
# BigInt, is exact. Meant to be so: https://github.com/nodejs/node/issues/63826.
#
# What to do: bind BigInt(number) for counts, String(number) for ids.
#
# Seen on 2026-11-30 with Python 3.11, sql.js 1.14.1:
#   node:sqlite       user 12345.0  sum 9007199254740992  1 / 1000000 = 1e-06
#   sql.js            user 12345    sum 9007199254740994  1 / 1000000 = 0
#   python's sqlite3  user 12345    sum 9007199254740994  1 / 1000000 = 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --no-audit --no-fund --loglevel=error --force node@22.23.3 sql.js@1.14.1 >/dev/null 2>&1
cat >write.js <<'JS'
const { DatabaseSync } = require("node:sqlite");
const MADE = "CREATE TABLE spend (user TEXT, nanos INTEGER)";
const BEGUN = "INSERT INTO spend VALUES (?, 9007199254740993)";
const ADDED = "UPDATE spend SET nanos = nanos + ?";
const READ = "SELECT user, CAST(nanos AS TEXT) AS nanos, ? / 1000000 AS part FROM spend";
const database = new DatabaseSync(":memory:");
database.exec(MADE);
database.prepare(BEGUN).run(12345);
database.prepare(ADDED).run(1);
const first = database.prepare(READ).get(1);
require("sql.js")().then((SQL) => {
  const other = new SQL.Database();
  other.run(MADE);
  other.run(BEGUN, [12345]);
  other.run(ADDED, [1]);
  console.log(JSON.stringify([[first.user, first.nanos, first.part], other.exec(READ, [1])[0].values[0]]));
});
JS
READ=$(node_modules/node/bin/node --no-warnings write.js) python3 - <<'PYTHON'
import json
import os
import sqlite3

database = sqlite3.connect(":memory:")
database.execute("CREATE TABLE spend (user TEXT, nanos INTEGER)")
database.execute("INSERT INTO spend VALUES (?, 9007199254740993)", (12345,))
database.execute("UPDATE spend SET nanos = nanos + ?", (1,))
row = database.execute("SELECT user, CAST(nanos AS TEXT), ? / 1000000 FROM spend", (1,)).fetchone()
whole = ["12345", "9007199254740994", 0]
for name, read, expected in zip(
    ("node:sqlite", "sql.js", "python's sqlite3"),
    (*json.loads(os.environ["READ"]), list(row)),
    (["12345.0", "9007199254740992", 1e-06], whole, whole),
):
    print(f"{name:17} user {read[0]:8} sum {read[1]}  1 / 1000000 = {read[2]:.6g}")
    assert read == expected, read
PYTHON
