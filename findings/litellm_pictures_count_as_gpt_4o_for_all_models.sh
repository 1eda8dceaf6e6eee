#!/usr/bin/env bash
# litellm 1.110.2: `token_counter(model=..., messages=...)` counts a picture as GPT-4o does, whatever the model: 765 tokens for
# gpt-4o-mini, which bills 25,501.
#
# The model is a parameter, and text is counted by its tokenizer. Pictures have one formula, 85 + 170 for each tile of
# 512 pixels, that of GPT-4o. OpenAI has others (its guide "Images and vision", "Calculating costs"; billed so in
# https://community.openai.com/t/1262691, read 2026-11-29): gpt-4o-mini 2833 + 5667 a tile, twice GPT-4o's price for a picture;
# gpt-4.1-mini 1.62 for each patch of 32 pixels; GPT-5 70 + 140. Claude takes pixels / 750. The same count is the usage of
# a stream that states none, and so its cost. A batch of pictures on gpt-4o-mini is planned at a thirty-third of its bill.
#
# What to do: compute pictures by the model's own rule, or send one and read prompt_tokens.
#
# Seen on 2026-11-29 with Python 3.11, a picture of 1024 by 1024 pixels, detail high:
#   gpt-4o             765  documented   765
#   gpt-4o-mini        765  documented 25501
#   gpt-4.1-mini       765  documented  1659
#   gpt-5              765  documented   630
#   claude-sonnet-4-5  765  documented  1398
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "litellm==1.110.2" "pillow==13.0.0" 2>/dev/null
LITELLM_LOCAL_MODEL_COST_MAP=True "$folder/env/bin/python" -W ignore - <<'PYTHON'
import base64
import io
import math

import litellm
from PIL import Image

SIDE = 1024
tiles = 4  # OpenAI scales the shorter side to 768 first: two by two tiles of 512
documented = {
    "gpt-4o": 85 + 170 * tiles,
    "gpt-4o-mini": 2833 + 5667 * tiles,
    "gpt-4.1-mini": math.ceil(1.62 * (SIDE // 32) ** 2),
    "gpt-5": 70 + 140 * tiles,
    "claude-sonnet-4-5": round(SIDE * SIDE / 750),
}
file = io.BytesIO()
Image.new("RGB", (SIDE, SIDE)).save(file, "PNG")
url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
text = {"type": "text", "text": "Hello"}
picture = {"type": "image_url", "image_url": {"url": url, "detail": "high"}}


def counted(model, *parts):
    return litellm.token_counter(model=model, messages=[{"role": "user", "content": list(parts)}])


for model, tokens in documented.items():
    seen = counted(model, text, picture) - counted(model, text)
    print(f"{model:17}  {seen}  documented {tokens:5}")
    assert seen == 765, (model, seen)
PYTHON
