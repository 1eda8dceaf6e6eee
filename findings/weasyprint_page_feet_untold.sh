#!/usr/bin/env bash
# weasyprint 70.0: with pdf_variant="pdf/ua-1" the page's margin boxes are marked content that is in no structure.
#
# PDF/UA-1 (7.1) wants all content to be either in the structure tree or marked as an artifact. Text of the body is in
# the tree; a running foot (@page { @bottom-right { content: counter(page) } }) is not: it stands between
# "/Span << /MCID n >> BDC" and "EMC" like text of the body, and no element of the tree has its n. A reader cannot tell
# it from content that was forgotten; a validator of PDF/UA reports it on each page.
#
# What to do: do without margin boxes where a validator has to pass, or put an Artifact in the place of such a mark.
#
# Seen on 2026-11-29 with Python 3.11, pikepdf 10.18.0:
#   without a foot: marked 2, in the structure 2
#   with a foot: marked 3, in the structure 2; left out: /Span
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "weasyprint==70.0" "pikepdf==10.18.0"
"$folder/env/bin/python" - <<'PYTHON'
import io

import pikepdf
from weasyprint import HTML

BODY = "<html lang=en><title>A</title><style>{}</style><h1>Heading</h1><p>Text.</p></html>"
FOOT = "@page { @bottom-right { content: counter(page) } }"


def looked_at(css):
    made = HTML(string=BODY.format(css)).write_pdf(pdf_variant="pdf/ua-1")
    with pikepdf.open(io.BytesIO(made)) as document:
        told = set()

        def walk(node):
            if isinstance(node, pikepdf.Array):
                for kid in node:
                    walk(kid)
            elif not isinstance(node, pikepdf.Dictionary):
                told.add(int(node))
            else:
                if "/MCID" in node:
                    told.add(int(node.MCID))
                walk(node.get("/K", pikepdf.Array()))

        walk(document.Root.StructTreeRoot.K)
        [page] = document.pages
        marked = {
            int(operands[1].MCID): str(operands[0])
            for operands, operator in pikepdf.parse_content_stream(page)
            if str(operator) == "BDC" and "/MCID" in operands[1]
        }
    return marked, told


marked, told = looked_at("")
print(f"without a foot: marked {len(marked)}, in the structure {len(told)}")
assert set(marked) == told
marked, told = looked_at(FOOT)
left = sorted(kind for number, kind in marked.items() if number not in told)
print(f"with a foot: marked {len(marked)}, in the structure {len(told)}; left out: {', '.join(left)}")
assert left == ["/Span"], "margin boxes are told, or artifacts, now"
PYTHON
