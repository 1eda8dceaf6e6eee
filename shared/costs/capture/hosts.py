"""The service and region behind the host that a call was sent to. Pure.

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
_VERTEX: Final = re.compile(
    r"(?:[a-z0-9-]+-)?aiplatform\.googleapis\.com|aiplatform\.[a-z]{2}\.rep\.googleapis\.com"
)
_LOCATION: Final = re.compile(r"/locations/([a-z0-9-]+)(?:/|$)")


_SERVICES: Final = {
    "openrouter.ai": "openrouter",
    "api.x.ai": "xai",
    "api.perplexity.ai": "perplexity",
    "api.groq.com": "groq",
    "api.deepseek.com": "deepseek",
    "api.mistral.ai": "mistral",
    "api.together.xyz": "together",
    "api.fireworks.ai": "fireworks",
    "api.moonshot.ai": "moonshotai",
    "dashscope.aliyuncs.com": "dashscope",
    "dashscope-intl.aliyuncs.com": "dashscope",
    "api.together.ai": "together",
    "api.moonshot.cn": "moonshotai",
    "api.cerebras.ai": "cerebras",
    "api.deepinfra.com": "deepinfra",
    "api.sambanova.ai": "sambanova",
    "api.novita.ai": "novita",
    "api.studio.nebius.ai": "nebius",
    "api.studio.nebius.com": "nebius",
    "api.tokenfactory.nebius.com": "nebius",
    "api.ai21.com": "ai21",
    "api.z.ai": "zai",
    "open.bigmodel.cn": "zhipuai",
    "api.minimax.io": "minimax",
    "api.minimaxi.com": "minimax",
    "api.cohere.ai": "cohere",
    "api.cohere.com": "cohere",
    "generativelanguage.googleapis.com": "google",
}
"""Servers of OpenAI's format, as their makers document them; the addresses that litellm 1.110.2 sends to
(``constants.py`` and ``llms/``), 2026-11-30."""


def service_of(url: str) -> str | None:
    """Return the service behind a host; ``None`` for other hosts: then the response says who served it.

    >>> service_of("https://openrouter.ai/api/v1"), service_of("https://acme.openai.azure.com/openai")
    ('openrouter', 'azure')
    >>> service_of("https://europe-west1-aiplatform.googleapis.com"), service_of("https://api.openai.com/v1")
    ('vertex', None)
    >>> service_of("https://user:secret@api.groq.com:443/openai/v1"), service_of("http://localhost:8000/v1")
    ('groq', None)
    >>> service_of("generativelanguage.mtls.googleapis.com"), service_of("api.tokenfactory.nebius.com")
    ('google', 'nebius')
    """
    host = _host_of(url)
    if host.endswith((".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")):
        return "azure"
    if ".amazonaws.com" in host and host.startswith("bedrock"):
        return "bedrock"
    if _VERTEX.fullmatch(host):
        return "vertex"
    return _SERVICES.get(host)


def _host_of(url: str) -> str:
    host = url.partition("://")[2] or url
    host = host.partition("/")[0].rpartition("@")[2].partition(":")[0].lower()
    return host.replace(_MUTUAL, _GOOGLES)


_MUTUAL: Final = ".mtls.googleapis.com"
"""Suffix of Google's hosts that ask for a client certificate: google-genai 3.6 sends to them if it has one
(``to_mtls_url``, 2026-11-30)."""
_GOOGLES: Final = ".googleapis.com"


def region_of(url: str) -> str | None:
    """Return the region that a host or URL names; ``None`` if it names none.

    >>> region_of("eu.api.openai.com"), region_of("https://bedrock-runtime.eu-west-1.amazonaws.com/model")
    ('eu', 'eu-west-1')
    >>> region_of("https://aiplatform.googleapis.com/v1/projects/p/locations/global/publishers/google")
    'global'
    >>> region_of("api.openai.com"), region_of("us-central1-aiplatform.mtls.googleapis.com")
    (None, 'us-central1')
    """
    if location := _LOCATION.search(url):
        return location[1]
    host = _host_of(url)
    return next((match[1] for pattern in _REGIONAL if (match := pattern.fullmatch(host))), None)
