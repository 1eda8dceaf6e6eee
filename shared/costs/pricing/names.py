"""The many names of services and models, brought to the one the catalogue knows.

Only spellings are handled here (case, prefixes, short names, version suffixes). Nothing is matched
by its beginning: ``claude-sonnet-4-5-my-finetune`` is another model than ``claude-sonnet-4-5`` and has
another price.
"""

from __future__ import annotations

import re
from typing import Final

_SERVICES: Final = {
    "gemini": "google",
    "google-genai": "google",
    "google_genai": "google",
    "google-ai": "google",
    "google-gla": "google",
    "google-vertex": "google",
    "vertex": "google",
    "vertexai": "google",
    "vertex-ai": "google",
    "vertex_ai": "google",
    "gcp.gemini": "google",
    "gcp.vertex_ai": "google",
    "gcp.gen_ai": "google",
    "claude": "anthropic",
    "azure-openai": "azure",
    "azure_openai": "azure",
    "azureopenai": "azure",
    "azure.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "az.ai.openai": "azure",
    "az.ai.inference": "azure",
    "bedrock": "aws",
    "aws-bedrock": "aws",
    "aws_bedrock": "aws",
    "aws.bedrock": "aws",
    "amazon-bedrock": "aws",
    "amazon": "aws",
    "mistralai": "mistral",
    "mistral-ai": "mistral",
    "mistral_ai": "mistral",
    "xai": "x-ai",
    "x_ai": "x-ai",
    "grok": "x-ai",
    "together-ai": "together",
    "together_ai": "together",
    "togetherai": "together",
    "fireworks-ai": "fireworks",
    "fireworks_ai": "fireworks",
    "voyage": "voyageai",
    "moonshot": "moonshotai",
    "open-ai": "openai",
    "whisper-x": "whisperx",
}

_MODELS: Final = {
    "gpt4": "gpt-4",
    "gpt4o": "gpt-4o",
    "gpt4mini": "gpt-4o-mini",
    "gpt4omini": "gpt-4o-mini",
    "gpt4o-mini": "gpt-4o-mini",
    "gpt-4-mini": "gpt-4o-mini",
    "gpt-4o-mini-latest": "gpt-4o-mini",
    "gpt4turbo": "gpt-4-turbo",
    "gpt4-turbo": "gpt-4-turbo",
    "gpt35": "gpt-3.5-turbo",
    "gpt35turbo": "gpt-3.5-turbo",
    "gpt-35-turbo": "gpt-3.5-turbo",
    "gpt3.5": "gpt-3.5-turbo",
    "gpt-3.5": "gpt-3.5-turbo",
    "whisper": "whisper-1",
    "gemini-flash": "gemini-1.5-flash",
    "gemini-1.0-pro": "gemini-pro",
}

_GENERATIONS: Final = {
    "opus": ("claude-opus-4-5", "claude-opus-4-1", "claude-opus-4", "claude-3-opus"),
    "sonnet": ("claude-sonnet-4", "claude-3-7-sonnet", "claude-3-5-sonnet", "claude-3-sonnet"),
    "haiku": ("claude-haiku-4-5", "claude-3-5-haiku", "claude-3-haiku"),
}

_BY_BEGINNING: Final = (
    ("claude", "anthropic"),
    ("gemini", "google"),
    ("gpt-", "openai"),
    ("gpt4", "openai"),
    ("gpt3", "openai"),
    ("chatgpt-", "openai"),
    ("whisper-", "openai"),
    ("tts-", "openai"),
    ("dall-e", "openai"),
    ("text-embedding-3", "openai"),
    ("text-embedding-ada", "openai"),
    ("omni-moderation", "openai"),
    ("o1", "openai"),
    ("o3", "openai"),
    ("o4", "openai"),
    ("ft:", "openai"),
    ("mistral", "mistral"),
    ("codestral", "mistral"),
    ("ministral", "mistral"),
    ("pixtral", "mistral"),
    ("magistral", "mistral"),
    ("voxtral", "mistral"),
    ("command", "cohere"),
    ("embed-", "cohere"),
    ("grok", "x-ai"),
    ("deepseek", "deepseek"),
    ("voyage", "voyageai"),
    ("sonar", "perplexity"),
)

_VERSION: Final = re.compile(
    r"""(.+)(?:[-@](?:20\d{2}-?(?:0[1-9]|1[0-2])-?(?:0[1-9]|[12]\d|3[01])  # a date, -20241022, @2024-10-22
         |latest|default|v\d(?::\d)?                            # -latest, -v2:0
         |00[1-9]                                               # Gemini's -001, -002
         |preview(?:-\d\d-(?:\d\d|20\d\d))?                      # -preview-05-20, -preview-09-2025
         |exp-\d\d-?\d\d                                           # -exp-0827
        ))""",
    re.VERBOSE,
)


def normalize_service(service: str) -> str:
    """Return the catalogue's name of a service.

    >>> normalize_service("Gemini"), normalize_service("azure_openai"), normalize_service("acme")
    ('google', 'azure', 'acme')
    """
    name = service.strip().lower()
    return _SERVICES.get(name, name)


def normalize_model_name(name: str) -> str:
    """Return a model's name without provider, path and short forms, in lower case.

    >>> normalize_model_name("openai/gpt-4o"), normalize_model_name("models/gemini-1.5-pro")
    ('gpt-4o', 'gemini-1.5-pro')
    >>> normalize_model_name("gpt4mini"), normalize_model_name("GPT-4o ")
    ('gpt-4o-mini', 'gpt-4o')
    """
    text = name.strip().lower()
    head, slash, rest = text.partition("/")
    if slash and (head == "models" or normalize_service(head) in KNOWN_SERVICES):
        text = rest.removeprefix("models/")
    elif text.startswith(("publishers/", "projects/")):
        # Vertex AI: projects/p/locations/l/publishers/google/models/gemini-1.5-pro
        text = text.rpartition("/models/")[2]
    return generations(text)[0] if generations(text) else _MODELS.get(text, text)


def generations(name: str) -> tuple[str, ...]:
    """Return the models that a bare family name can mean, the newest first; nothing for other names.

    >>> generations("haiku")
    ('claude-haiku-4-5', 'claude-3-5-haiku', 'claude-3-haiku')
    """
    return _GENERATIONS.get(name.removeprefix("claude-"), ())


def service_in_name(name: str) -> str | None:
    """Return the service that a name such as ``openai/gpt-4o`` states, or ``None``."""
    head, slash, _ = name.strip().lower().partition("/")
    service = normalize_service(head)
    return service if slash and service in KNOWN_SERVICES else None


def infer_service(model: str) -> str | None:
    """Return the service that offers a model of this name, or ``None`` when that is not clear.

    >>> infer_service("gpt-4o-mini"), infer_service("sonnet"), infer_service("azure/gpt-4o")
    ('openai', 'anthropic', 'azure')
    """
    if stated := service_in_name(model):
        return stated
    name = normalize_model_name(model)
    return next((service for start, service in _BY_BEGINNING if name.startswith(start)), None)


def without_version(name: str) -> str | None:
    """Return a name without its version mark (a date, ``-latest``, ``-001``); ``None`` if it has none.

    >>> without_version("claude-3-5-sonnet-20241022"), without_version("claude-sonnet-4-5-my-finetune")
    ('claude-3-5-sonnet', None)
    """
    found = _VERSION.fullmatch(name)
    return found[1] if found else None


KNOWN_SERVICES: Final = frozenset(
    {
        *_SERVICES.values(),
        *(service for _, service in _BY_BEGINNING),
        "local",
        "groq",
        "openrouter",
        "cerebras",
        "ollama",
        "whisperx",
        "indictrans2",
        "deepgram",
        "elevenlabs",
        "assemblyai",
        "huggingface",
        "novita",
        "perplexity",
        "cloudflare",
        "databricks",
    }
)
"""Services whose name before a slash is taken as the service and not as part of the model's name."""
