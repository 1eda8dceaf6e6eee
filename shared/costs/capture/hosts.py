"""Where a call ran, as the host that it was sent to says. Pure.

Sources: https://developers.openai.com/api/docs/guides/your-data (regional hosts),
https://docs.aws.amazon.com/general/latest/gr/bedrock.html,
https://cloud.google.com/vertex-ai/generative-ai/docs/learn/locations; read 2026-11-28.
"""

from __future__ import annotations

import re
from typing import Final

_REGIONAL: Final = (
    re.compile(r"([a-z]{2})\.api\.openai\.com"),
    re.compile(r"bedrock-(?:runtime|mantle)(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws\.com|api\.aws)"),
    re.compile(r"([a-z0-9-]+)-aiplatform\.googleapis\.com"),
    re.compile(r"aiplatform\.([a-z]{2})\.rep\.googleapis\.com"),
)
_LOCATION: Final = re.compile(r"/locations/([a-z0-9-]+)(?:/|$)")


def region_of(url: str) -> str | None:
    """Return the region in a host or an address; ``None`` where it names none.

    >>> region_of("eu.api.openai.com"), region_of("https://bedrock-runtime.eu-west-1.amazonaws.com/model")
    ('eu', 'eu-west-1')
    >>> region_of("https://aiplatform.googleapis.com/v1/projects/p/locations/global/publishers/google")
    'global'
    >>> region_of("api.openai.com") is None
    True
    """
    if location := _LOCATION.search(url):
        return location[1]
    host = url.partition("://")[2] or url
    host = host.partition("/")[0].partition(":")[0].lower()
    return next((found[1] for pattern in _REGIONAL if (found := pattern.fullmatch(host))), None)
