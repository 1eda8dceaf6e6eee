#!/usr/bin/env bash
# wrapt 2.5.2, mistralai 3.7.0: a hook on the import of `mistralai` never runs, and says nothing.
#
# Instrumentation waits for a library with `wrapt.register_post_import_hook(hook, "mistralai")`. Version 3 of the SDK is a
# folder without `__init__.py`, in which packages of several distributions may lie, and wrapt calls hooks when a module's
# loader has run it, which nothing does for such a folder. The name is in `sys.modules` all the same, so that a look there
# says that the library was imported. Version 1.12.4, a package of the ordinary kind, runs the hook. A tracer or a ledger
# that hooks the top name therefore lost each call with the upgrade, without an error.
#
# What to do: hook the module that is imported, `mistralai.client`, beside `mistralai` for version 1.
#
# Seen on 2026-11-30 with Python 3.11:
#   mistralai 1.12.4  hook on mistralai ran: True
#   mistralai 3.7.0   hook on mistralai ran: False  in sys.modules: True  hook on mistralai.client ran: True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 1.12.4 3.7.0; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "mistralai==$version" "wrapt==2.5.2" 2>/dev/null
  "$folder/$version/bin/python" -W ignore - "$version" <<'PYTHON' | tee -a "$folder/seen"
import sys

import wrapt

ran = {}
for name in ("mistralai", "mistralai.client"):
    wrapt.register_post_import_hook(lambda module: ran.update({module.__name__: True}), name)
if sys.argv[1].startswith("1."):
    from mistralai import Mistral
    print(sys.argv[1], Mistral.__name__, ran.get("mistralai", False))
else:
    from mistralai.client import Mistral
    seen = ran.get("mistralai", False), "mistralai" in sys.modules, ran.get("mistralai.client", False)
    print(sys.argv[1], Mistral.__name__, *seen)
PYTHON
done
diff "$folder/seen" - <<'SEEN'
1.12.4 Mistral True
3.7.0 Mistral False True True
SEEN
