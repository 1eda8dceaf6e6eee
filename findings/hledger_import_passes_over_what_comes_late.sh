#!/usr/bin/env bash
# hledger 1.25 (Debian): `hledger import` passes over a call that is added to a file later with an earlier date, for good, and says
# "imported 1 new transactions" of the two that are new.
#
# `import` reads only what is new in a file that grows. What is new it tells by dates: it keeps the last date that it saw, in
# `.latest.FILE`, and takes what is later, and of that date what is more than last time. Bank exports grow at their end. Costs do not:
# a batch answers a day later with the time of its request, a host that was offline sends its week, a provider corrects yesterday.
# Such lines are older than what is known, and no later import looks at them either; `hledger print` of the file itself has them.
#
# What to do: one file a period, written anew, and `include`d in the journal; or one file a host or job for `import`.
#
# Seen on 2026-11-30:
#   first import : imported 2 new transactions from calls.csv; $0.03 of $0.03
#   second import: imported 1 new transactions from calls.csv; $0.06 of $5.06
#   third import : no new transactions found in calls.csv; $0.06 of $5.06
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
if [ "$(id -u)" = 0 ]; then chmod 755 "$folder"; fi
apt-get download -o APT::Sandbox::User=root hledger >/dev/null 2>&1
dpkg -x hledger_*.deb package
hledger="$folder/package/usr/bin/hledger"
case $("$hledger" --version) in "hledger 1.25"*) ;; *) "$hledger" --version; exit 1 ;; esac
export LANG=C.UTF-8
cat >calls.csv.rules <<'RULES'
skip 1
fields date,code,amount
currency $
account1 expenses:ai
account2 assets:prepaid
RULES
printf 'date,call,usd\n2026-11-01,a,0.01\n2026-11-02,b,0.02\n' >calls.csv
touch main.journal
import() {
  said=$("$hledger" -f main.journal import calls.csv 2>&1 | head -n 1)
  known=$("$hledger" -f main.journal balance expenses:ai -N --format '%(total)')
  all=$("$hledger" -f calls.csv balance expenses:ai -N --format '%(total)')
  echo "$1: $said; $known of $all"
  [ "$said; $known of $all" = "$2" ]
}
import "first import " "imported 2 new transactions from calls.csv; \$0.03 of \$0.03"
printf '2026-11-01,late,5.00\n2026-11-03,c,0.03\n' >>calls.csv
import "second import" "imported 1 new transactions from calls.csv; \$0.06 of \$5.06"
import "third import " "no new transactions found in calls.csv; \$0.06 of \$5.06"
