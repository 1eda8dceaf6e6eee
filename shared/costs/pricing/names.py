"""Normalizes the many names of services and models to those of the catalogue.

Only spellings are handled here (case, prefixes, short names, version suffixes). Models are not matched
by prefix: ``claude-sonnet-4-5-my-finetune`` is another model than ``claude-sonnet-4-5`` and has
another price.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Final, NamedTuple

from ..shipped import DATA
from ..units import without_features

_SERVICES: Final = {
    "gemini": "google",
    "google-genai": "google",
    "google_genai": "google",
    "google-ai": "google",
    "google-gla": "google",
    "google-vertex": "vertex",
    "vertexai": "vertex",
    "vertex-ai": "vertex",
    "vertex_ai": "vertex",
    "gcp.gemini": "google",
    "gcp.vertex_ai": "vertex",
    "gcp.gen_ai": "google",
    "claude": "anthropic",
    "azure-openai": "azure",
    "azure_openai": "azure",
    "azureopenai": "azure",
    "azure.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "az.ai.openai": "azure",
    "az.ai.inference": "azure",
    "google_vertexai": "vertex",
    "google-vertex-anthropic": "vertex",
    "azure_ai": "azure",
    "azure-ai": "azure",
    "azure_foundry": "azure",
    "azure-foundry": "azure",
    "foundry": "azure",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "bedrock_mantle": "aws",
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
    "cohere_chat": "cohere",
    "voyage": "voyageai",
    "voyage-ai": "voyageai",
    "moonshot": "moonshotai",
    "kimi": "moonshotai",
    "z.ai": "zai",
    "z-ai": "zai",
    "zai-org": "zai",
    "zhipu": "zhipuai",
    "bigmodel": "zhipuai",
    "minimaxi": "minimax",
    "alibaba": "dashscope",
    "aliyun": "dashscope",
    "alibaba-cloud": "dashscope",
    "model-studio": "dashscope",
    "qwen": "dashscope",
    "qwencloud": "dashscope",
    "jina-ai": "jina",
    "jina_ai": "jina",
    "jinaai": "jina",
    "eleven-labs": "elevenlabs",
    "eleven_labs": "elevenlabs",
    "11labs": "elevenlabs",
    "assembly-ai": "assemblyai",
    "assembly_ai": "assemblyai",
    "rev": "rev-ai",
    "lambda": "lambda-labs",
    "lambdalabs": "lambda-labs",
    "revai": "rev-ai",
    "rev_ai": "rev-ai",
    "fal_ai": "fal",
    "fal-ai": "fal",
    "fal.ai": "fal",
    "runway": "runwayml",
    "bfl": "black-forest-labs",
    "black_forest_labs": "black-forest-labs",
    "stability-ai": "stability",
    "stability_ai": "stability",
    "stabilityai": "stability",
    "llama-parse": "llamaparse",
    "llama_parse": "llamaparse",
    "llama-cloud": "llamaparse",
    "llamacloud": "llamaparse",
    "google_speech": "google-speech",
    "google-stt": "google-speech",
    "google_stt": "google-speech",
    "google-cloud-speech": "google-speech",
    "gcp-speech": "google-speech",
    "google_tts": "google-tts",
    "google-cloud-texttospeech": "google-tts",
    "google-cloud-tts": "google-tts",
    "google_translate": "google-translate",
    "google-cloud-translate": "google-translate",
    "google_vision": "google-vision",
    "google-cloud-vision": "google-vision",
    "documentai": "google-documentai",
    "document-ai": "google-documentai",
    "google_documentai": "google-documentai",
    "google-document-ai": "google-documentai",
    "google-cloud-documentai": "google-documentai",
    "aws_polly": "aws-polly",
    "polly": "aws-polly",
    "amazon-polly": "aws-polly",
    "aws_transcribe": "aws-transcribe",
    "transcribe": "aws-transcribe",
    "amazon-transcribe": "aws-transcribe",
    "aws_translate": "aws-translate",
    "amazon-translate": "aws-translate",
    "aws_textract": "aws-textract",
    "textract": "aws-textract",
    "amazon-textract": "aws-textract",
    "aws_rekognition": "aws-rekognition",
    "rekognition": "aws-rekognition",
    "azure_speech": "azure-speech",
    "azure-cognitive-speech": "azure-speech",
    "azure-cognitiveservices-speech": "azure-speech",
    "azure_translator": "azure-translator",
    "azure-translate": "azure-translator",
    "azure-ai-translation-text": "azure-translator",
    "azure_documents": "azure-documents",
    "azure-document-intelligence": "azure-documents",
    "azure-ai-documentintelligence": "azure-documents",
    "doc-intelligence": "azure-documents",
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
    "opus": (
        "claude-opus-5-5",
        "claude-opus-5",
        "claude-opus-4-8",
        "claude-opus-4-7",
        "claude-opus-4-6",
        "claude-opus-4-5",
        "claude-opus-4-1",
        "claude-opus-4",
        "claude-3-opus",
    ),
    "sonnet": (
        "claude-sonnet-5-5",
        "claude-sonnet-5",
        "claude-sonnet-4-6",
        "claude-sonnet-4-5",
        "claude-sonnet-4",
        "claude-3-7-sonnet",
        "claude-3-5-sonnet",
        "claude-3-sonnet",
    ),
    "haiku": ("claude-haiku-5-5", "claude-haiku-4-5", "claude-3-5-haiku", "claude-3-haiku"),
}
"""The generations of each family, the newest first; the price files say since when each was sold."""

_SERVICE_OF_PREFIX: Final = (
    ("claude", "anthropic"),
    ("gemini", "google"),
    ("gpt-", "openai"),
    ("gpt4", "openai"),
    ("gpt3", "openai"),
    ("chatgpt-", "openai"),
    ("whisper-1", "openai"),
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
    ("command_and_search", "google-speech"),
    ("command", "cohere"),
    ("embed-", "cohere"),
    ("grok", "x-ai"),
    ("deepseek", "deepseek"),
    ("voyage", "voyageai"),
    ("sonar", "perplexity"),
    ("devstral", "mistral"),
    ("rerank-1", "voyageai"),
    ("rerank-2", "voyageai"),
    ("rerank-3", "voyageai"),
    ("rerank-lite", "voyageai"),
    ("rerank-", "cohere"),
    ("codex-", "openai"),
    ("computer-use-preview", "openai"),
    ("kimi-", "moonshotai"),
    ("moonshot-v1", "moonshotai"),
    ("glm-", "zai"),
    ("minimax-", "minimax"),
    ("nova-2", "deepgram"),
    ("nova-3", "deepgram"),
    ("aura-", "deepgram"),
    ("flux-general", "deepgram"),
    ("chirp3", "google-tts"),
    ("chirp-hd", "google-tts"),
    ("chirp_3_hd", "google-tts"),
    ("chirp", "google-speech"),
    ("text-embedding-00", "vertex"),
    ("text-multilingual-embedding", "vertex"),
    ("qwen-flash", "dashscope"),
    ("qwen-plus", "dashscope"),
    ("qwen3-max", "dashscope"),
    ("qwen3-coder-plus", "dashscope"),
    ("qwen3-coder-flash", "dashscope"),
    ("saarika", "sarvam"),
    ("saaras", "sarvam"),
    ("bulbul", "sarvam"),
    ("scribe_", "elevenlabs"),
    ("eleven_", "elevenlabs"),
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


def states_bills(service: str) -> bool:
    """Return whether a service states in its responses what it bills; that is then the cost of the call.

    >>> states_bills("xai"), states_bills("openai")
    (True, False)
    """
    return normalize_service(service) in {"openrouter", "perplexity", "x-ai"}


def normalize_model_name(name: str) -> str:
    """Return a model's name without provider, path and short forms, in lower case.

    >>> normalize_model_name("openai/gpt-4o"), normalize_model_name("models/gemini-1.5-pro")
    ('gpt-4o', 'gemini-1.5-pro')
    >>> normalize_model_name("gpt4mini"), normalize_model_name("GPT-4o ")
    ('gpt-4o-mini', 'gpt-4o')
    """
    text = _without_path(name.strip().lower())
    return generations(text)[0] if generations(text) else _MODELS.get(text, text)


def _without_path(text: str) -> str:
    head, slash, rest = text.partition("/")
    if slash and (head == "models" or normalize_service(head) in KNOWN_SERVICES):
        return rest.removeprefix("models/")
    if text.startswith(("publishers/", "projects/")):
        # Vertex AI: projects/p/locations/l/publishers/google/models/gemini-1.5-pro
        return text.rpartition("/models/")[2]
    return text


class ModelSpellings(NamedTuple):
    """The names that a model's name in a call can stand for, the best first, and the region in it, if any.

    ``routed`` says that a router picked the host by a suffix of the name, so that the price may differ.
    """

    names: tuple[str, ...]
    region: str | None = None
    routed: bool = False


_ARN: Final = re.compile(
    r"arn:aws[a-z-]*:bedrock:([a-z0-9-]*):\d*:(?:foundation-model|inference-profile)/(.+)"
)
_LOCATION: Final = re.compile(r"projects/[^/]+/locations/([^/]+)/(?:publishers/([^/]+)/)?models/(.+)")
_ROUTE: Final = re.compile(r"(?:converse|invoke|converse_like)/(.+)")
_IN_REGION: Final = re.compile(r"((?:us|eu|ap|sa|ca|me|af|il|mx)-(?:gov-)?[a-z]+-\d)/(.+)")
_DATA_ZONE: Final = re.compile(r"(eu|us|global|global-standard|standard)/(.+)")
_CONTEXT: Final = re.compile(r"(.+?)(?:\[\d+[km]\]|:\d+k|:v\d+)")
_ROUTED: Final = re.compile(r"(.+):(nitro|floor|exacto|online)")
_FINE_TUNED: Final = re.compile(r"(ft:[^:]+):.*")
_CLAUDE: Final = re.compile(
    r"(.*\bclaude)-(?:(opus|sonnet|haiku)-)?([345](?:[-.]\d)?)(?:-(opus|sonnet|haiku))?"
)
_DEEPGRAM: Final = re.compile(r"(?:(\d)-)?([a-z]+)-(nova|enhanced|base|whisper)(?:-(\d))?")


def spellings(service: str, name: str) -> ModelSpellings:
    """Return the names under which a service's model may be listed, from its name in a call.

    >>> spellings("aws", "arn:aws:bedrock:eu-west-1::foundation-model/amazon.nova-lite-v1:0")
    ModelSpellings(names=('amazon.nova-lite-v1:0',), region='eu-west-1', routed=False)
    >>> spellings("anthropic", "claude-opus-4-8[1m]").names
    ('claude-opus-4-8[1m]', 'claude-opus-4-8', 'claude-4-8-opus')
    """
    text = name.strip().lower()
    names, text, region = _without_address(text)
    if service == "aws":
        text, region = _without_route(text, region)
    if service == "azure" and (match := _DATA_ZONE.fullmatch(text)):
        names.append(text)
        region, text = (match[1] if match[1] in {"eu", "us"} else "global"), match[2]
    routed = _ROUTED.fullmatch(names[0]) if service == "openrouter" else None
    if routed:
        names += [routed[1], _without_path(routed[1])]
        text = names[-1]
    if service == "aws" and text.startswith(_GOVERNMENT):
        region = region or "us-gov-west-1"  # both of its regions have one price
        names += [text, text.replace(_GOVERNMENT, "us-gov-west-1/", 1)]
    names.append(text)
    if match := _CONTEXT.fullmatch(text):
        names.append(text := match[1])
    if match := _FINE_TUNED.fullmatch(text):
        names += [text := match[1], *_undated(text)]
    names += _equivalents(service, text)
    return ModelSpellings(tuple(dict.fromkeys(names)), region, bool(routed))


def _without_address(text: str) -> tuple[list[str], str, str | None]:
    """Return the names without an ARN or a path around them, the last of them, and the region in the path."""
    if match := _LOCATION.fullmatch(text):
        region, publisher, model = match[1], match[2], match[3]
        return [model] if publisher in {None, "google"} else [model, f"{publisher}/{model}"], model, region
    if match := _ARN.fullmatch(text):
        return [match[2]], match[2], match[1] or None
    plain = _without_path(text)
    return [text, plain], plain, None


def _without_route(text: str, region: str | None) -> tuple[str, str | None]:
    """Return a name without the API and the region that routers write before it, and the region."""
    for _ in range(2):
        if match := _ROUTE.fullmatch(text):
            text = match[1]
        elif match := _IN_REGION.fullmatch(text):
            region, text = match[1], match[2]
    return text, region


_GOVERNMENT: Final = "us-gov."
"""The prefix of Bedrock's profiles in AWS GovCloud."""


_VOICES: Final = {
    # Voices are named by language, class and name: en-US-Chirp3-HD-Kore, en-US-JennyNeural, aura-2-thalia-en.
    "google-tts": re.compile(
        r"^[a-z]{2,3}-[a-z0-9]{2,4}-(chirp3-hd|chirp-hd|neural2|wavenet|standard|studio|polyglot|news)-"
    ),
    "azure-speech": re.compile(r"^[a-z]{2,3}-[a-z]{2,8}-.*?(dragonhd|neural)"),
    "deepgram": re.compile(r"^aura-2(?=-[a-z]+-[a-z]{2}$)|^aura(?=-[a-z]+-[a-z]{2}$)"),
}
_PROCESSORS: Final = re.compile(r"pretrained-(ocr|form-parser|layout-parser|invoice)-v")
"""Processor versions that name their kind: https://cloud.google.com/document-ai/docs/processors-list
(2026-11-30)."""
_VOICE_CLASSES: Final = {"dragonhd": "hd"}


def _undated(name: str) -> list[str]:
    shorter = without_version(name)
    return [shorter] if shorter else []


def _equivalents(service: str, text: str) -> list[str]:
    """Return the other short forms and word orders that mean the same model."""
    names = [_MODELS[text]] if text in _MODELS else []
    if match := _CLAUDE.fullmatch(text):
        family, number = match[2] or match[4], match[3].replace(".", "-")
        if family:
            names += [f"{match[1]}-{number}-{family}", f"{match[1]}-{family}-{number}"]
    if service == "deepgram" and (match := _DEEPGRAM.fullmatch(text)):
        generation = match[1] or match[4]
        model = f"{match[3]}-{generation}" if generation else match[3]
        names += [f"{model}-{match[2]}", model] if match[2] == "general" else [f"{model}-{match[2]}"]
    if service in _VOICES and (match := _VOICES[service].search(text)):
        names.append(match[0] if service == "deepgram" else _VOICE_CLASSES.get(match[1], match[1]))
    if service == "google-documentai" and (match := _PROCESSORS.match(text)):
        names.append(match[1])
    if service == "azure-documents" and text.startswith("prebuilt-"):
        names.append("prebuilt")  # all but prebuilt-read have one price
    if service == "fireworks" and "/" not in text:
        names.append(f"accounts/fireworks/models/{text}")
    return names


def generations(name: str) -> tuple[str, ...]:
    """Return the models that a bare family name can mean, the newest first; nothing for other names.

    >>> generations("haiku")[0], generations("claude-3-haiku")
    ('claude-haiku-5-5', ())
    """
    return _GENERATIONS.get(name.removeprefix("claude-"), ())


def service_in_name(name: str) -> str | None:
    """Return the service in a name such as ``openai/gpt-4o``, or ``None``."""
    head, slash, _ = name.strip().lower().partition("/")
    service = normalize_service(head)
    return service if slash and service in KNOWN_SERVICES else None


def infer_service(model: str) -> str | None:
    """Return the service that offers a model of this name, or ``None`` when that is not clear.

    >>> infer_service("gpt-4o-mini"), infer_service("sonnet"), infer_service("azure/gpt-4o")
    ('openai', 'anthropic', 'azure')
    >>> infer_service("nova-3+diarize")
    'deepgram'
    """
    name = normalize_model_name(without_features(model))
    service = service_in_name(model) or (
        "aws" if _BEDROCK_MODEL.match(model.lower()) else rule_of_service(name)
    )
    return service or (_sole_sellers().get(name) if name else None)


_BEDROCK_MODEL: Final = re.compile(
    r"arn:aws[a-z-]*:bedrock:"
    r"|(?!meta\.llama-|cohere\.command-(?:a-|latest|plus-|r-(?:plus-)?\d)|cohere\.embed-\S*v\d\.\d|openai\.gpt-5(?:-|$))"
    r"(?:(?:us|eu|apac|global|jp|au|ca|us-gov)\.)?"
    r"(?:amazon|anthropic|meta|mistral|cohere|ai21|deepseek|qwen|openai|minimax|moonshot|nvidia|writer|zai)"
    r"\.[a-z][a-z0-9.-]*-"
)
"""Names of models on Bedrock, whoever made them: a region, the maker and a dot before the model's name.

The excluded ones are Oracle's names of models of Meta, Cohere and OpenAI (``oci`` in litellm 1.110.2,
2026-11-30).
"""


def rule_of_service(name: str) -> str | None:
    """Return the service whose names have this prefix or whose voices this form, or ``None``."""
    by_prefix = (service for prefix, service in _SERVICE_OF_PREFIX if name.startswith(prefix))
    by_voice = (service for service, voice in _VOICES.items() if voice.search(name))
    return next(by_prefix, None) or next(by_voice, None)


@cache
def _sole_sellers() -> dict[str, str]:
    """Return the service of each model that only one service sells, by name: needed where no rule applies."""
    sellers: dict[str, str] = json.loads((DATA / "sellers.json").read_bytes())
    return sellers


def without_version(name: str) -> str | None:
    """Return a name without its version mark (a date, ``-latest``, ``-001``); ``None`` if it has none.

    >>> without_version("claude-3-5-sonnet-20241022"), without_version("claude-sonnet-4-5-my-finetune")
    ('claude-3-5-sonnet', None)
    """
    match = _VERSION.fullmatch(name)
    return match[1] if match else None


KNOWN_SERVICES: Final = frozenset(
    {
        *_SERVICES.values(),
        *(service for _, service in _SERVICE_OF_PREFIX),
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
        "vertex",
        "deepinfra",
        "replicate",
        "speechmatics",
        "gladia",
        "soniox",
        "cartesia",
        "deepl",
        "sarvam",
        "baseten",
        "nebius",
        "sambanova",
        "ai21",
        "recraft",
        "ideogram",
        "modal",
        "runpod",
    }
)
"""Services whose name before a slash is read as the service and not as part of the model's name."""
