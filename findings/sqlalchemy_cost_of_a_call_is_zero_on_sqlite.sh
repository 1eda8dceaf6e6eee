#!/usr/bin/env bash
# SQLAlchemy 2.1.9: on SQLite the cost of 1,000 tokens at $0.15 a million is Decimal('0.00'), though the database computed
# $0.00015; the sum of a hundred such calls, $0.015, is $0.02.
#
# SQLite has no decimals and answers with a float. SQLAlchemy makes a Decimal of it with as many places as the type of the
# expression has, and `tokens * price / 1_000_000` has the type of its only Numeric: that of the price, NUMERIC(10, 2). So
# each result is rounded to cents in Python, also of `func.max` and `func.sum`, while `func.avg` beside them comes as the
# float that it is. WHERE and ORDER BY see the exact value: a call over $0.0001 is found, and costs 0.00. Drivers that have
# decimals of their own are spared, so that a test on SQLite says another sum than the database in use. That it is the
# column's scale that rounds was told of `decimal_return_scale`: https://github.com/sqlalchemy/sqlalchemy/issues/13424.
#
# What to do: type_coerce(expression, Numeric(18, 9)), or keep amounts as integers.
#
# Seen on 2026-11-30 with Python 3.11; 100 calls of 1,000 tokens:
#   cost of a call over $0.0001  0.00   the same as text  0.00015   type_coerce  0.000150000
#   sum of all costs             0.02   the same as text  0.015     type_coerce  0.015000000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "sqlalchemy==2.1.9" 2>/dev/null
"$folder/env/bin/python" -W ignore - <<'PYTHON'
from decimal import Decimal

from sqlalchemy import Column, Integer, MetaData, Numeric, String, Table, create_engine, func, select, text, type_coerce

tables = MetaData()
price = Table("price", tables, Column("model", String, primary_key=True), Column("per_million", Numeric(10, 2)))
call = Table("call", tables, Column("id", Integer, primary_key=True), Column("model", String), Column("tokens", Integer))
engine = create_engine("sqlite://")
tables.create_all(engine)
priced = call.join(price, call.c.model == price.c.model)
cost = call.c.tokens * price.c.per_million / 1_000_000
with engine.begin() as connection:
    connection.execute(price.insert(), [{"model": "m", "per_million": Decimal("0.15")}])
    connection.execute(call.insert(), [{"model": "m", "tokens": 1_000}] * 100)
    for name, column, read, right in (
        ("cost of a call over $0.0001", cost, "0.00", "0.000150000"),
        ("sum of all costs", func.sum(cost), "0.02", "0.015000000"),
    ):

        def asked(column):
            return select(column).select_from(priced).where(cost > 0.0001).limit(1)

        statement = str(asked(column).compile(engine, compile_kwargs={"literal_binds": True}))
        answer, plain, coerced = (
            connection.execute(each).scalar_one()
            for each in (asked(column), text(statement), asked(type_coerce(column, Numeric(18, 9))))
        )
        print(f"{name:27}  {answer}   the same as text  {plain:<7.5g}   type_coerce  {coerced}")
        assert (str(answer), str(coerced)) == (read, right), (answer, coerced)
        assert abs(plain - float(right)) < 1e-9, plain
PYTHON
