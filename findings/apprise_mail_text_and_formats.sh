#!/usr/bin/env bash
# Apprise 2.3.0: the text of a mail has each cell of a table on a line of its own, and `notify_format` of a mail's
# plugin is no NotifyFormat.
#
# A mail that is sent as HTML gets a text/plain part, as it should, but Apprise makes it of the HTML, and there is no way
# to give it: a row of three cells becomes three lines, so that amounts no longer stand beside their names. And whoever
# asks whether a plugin is for HTML by `plugin.notify_format == NotifyFormat.HTML` gets False for mailto://, which sends
# HTML: it is a tuple of what a service understands, the preferred one first, where there is more than one.
#
# What to do: look at the first where it is a tuple; replace what makes the text while a mail is sent.
#
# Seen on 2026-11-29 with Python 3.11:
#   notify_format == HTML: False, its first: html
#   'openai\n$33.76\n67.8%'
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "apprise==2.3.0"
"$folder/env/bin/python" -W ignore - <<'PYTHON'
from apprise import Apprise, NotifyFormat
from apprise.plugins.email import NotifyEmail

plugin = Apprise.instantiate("mailto://127.0.0.1?mode=insecure&from=a@example.org&to=b@example.org")
formats = plugin.notify_format
print(f"notify_format == HTML: {formats == NotifyFormat.HTML}, its first: {formats[0].value}")
assert formats != NotifyFormat.HTML
assert formats[0] == NotifyFormat.HTML

row = "<table><tr><td>openai</td><td>$33.76</td><td>67.8%</td></tr></table>"
[mail] = NotifyEmail.prepare_emails("Costs", row, ("", "a@example.org"), [("", "b@example.org")])
import email

parts = email.message_from_string(mail.body).walk()
[text] = [part.get_payload(decode=True).decode() for part in parts if part.get_content_type() == "text/plain"]
print(repr(text))
assert text == "openai\n$33.76\n67.8%"
PYTHON
