#!/usr/bin/env bash
# pillow 13.0.0, pymupdf 2.0 and img2pdf 0.6.3: a scan of three pages whose TIFF file has a thumbnail for each has six pages,
# and the PDF that is made of it has six.
#
# A TIFF file is a chain of images, and a field of each (NewSubfileType) says what it is: a page, or a smaller copy of one,
# which scanners' and archives' software puts there for quick viewing. `n_frames`, `page_count` and img2pdf count the chain.
# Services that read documents bill by the page, and estimates and limits by the page are made of these numbers: twice what
# the scan is, and if it is sent as the PDF, that is billed too. Others met it with thumbnails in a PDF:
# https://github.com/iron-software/IronSoftware.System.Drawing/pull/98.
#
# What to do: leave out frames whose tag 254 has its first bit set, before pages are counted or made.
#
# Seen on 2026-11-30 with Python 3.11, tifffile 2026.3.3; three pages of 400 x 300, each with a thumbnail of 40 x 30:
#   pillow  n_frames 6    its PDF 6
#   pymupdf page_count 6  its PDF 6
#   img2pdf               its PDF 6
#   without those whose tag 254 says reduced: 3
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "pillow==13.0.0" "pymupdf==2.0" "img2pdf==0.6.3" \
  "tifffile==2026.3.3" "pypdf==7.1.1" "numpy==2.4.6" 2>/dev/null
cd "$folder"
env/bin/python - <<'PYTHON'
import io

import img2pdf
import numpy
import pymupdf
import tifffile
from PIL import Image
from pypdf import PdfReader

with tifffile.TiffWriter("scan.tif") as scan:
    for _ in range(3):
        scan.write(numpy.full((300, 400), 255, numpy.uint8), photometric="minisblack", subfiletype=2)
        scan.write(numpy.full((30, 40), 255, numpy.uint8), photometric="minisblack", subfiletype=1)
image, document = Image.open("scan.tif"), pymupdf.open("scan.tif")
image.save("pillow.pdf", save_all=True)
made = {
    "pillow": "pillow.pdf",
    "pymupdf": io.BytesIO(document.convert_to_pdf()),
    "img2pdf": io.BytesIO(img2pdf.convert("scan.tif")),
}
pages = {name: len(PdfReader(pdf).pages) for name, pdf in made.items()}
print(f"pillow  n_frames {image.n_frames}    its PDF {pages['pillow']}")
print(f"pymupdf page_count {document.page_count}  its PDF {pages['pymupdf']}")
print(f"img2pdf               its PDF {pages['img2pdf']}")
full = 0
for frame in range(image.n_frames):
    image.seek(frame)
    full += not image.tag_v2.get(254, 0) & 1
print(f"without those whose tag 254 says reduced: {full}")
assert (image.n_frames, document.page_count, pages, full) == (6, 6, dict.fromkeys(made, 6), 3)
PYTHON
