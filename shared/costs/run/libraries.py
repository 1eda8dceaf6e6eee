"""Which instrumentation reports the calls of which AI library, best first.

Tested with the real packages; a comment says what an instrumentation misses.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Library:
    """An AI library.

    Attributes:
        module: the module whose import shows that a program uses it.
        package: what to install if nothing reports its calls.
        instrumentors: classes that report its calls, as ``module:Class``, best first.
        own_spans: a module that exists if the library makes spans by itself.

    """

    module: str
    package: str
    instrumentors: tuple[str, ...]
    own_spans: str | None = None


LIBRARIES: Final = (
    Library(
        "openai",
        "opentelemetry-instrumentation-genai-openai",
        (
            "opentelemetry.instrumentation.genai.openai:OpenAIInstrumentor",
            "opentelemetry.instrumentation.openai_v2:OpenAIInstrumentor",
            # States neither cache writes nor, for streams, reasoning.
            "opentelemetry.instrumentation.openai:OpenAIInstrumentor",
            "openinference.instrumentation.openai:OpenAIInstrumentor",
        ),
    ),
    Library(
        "anthropic",
        "opentelemetry-instrumentation-genai-anthropic",
        (
            "opentelemetry.instrumentation.genai.anthropic:AnthropicInstrumentor",
            # Adds up the cumulative counts of a stream.
            "opentelemetry.instrumentation.anthropic:AnthropicInstrumentor",
            "openinference.instrumentation.anthropic:AnthropicInstrumentor",
        ),
        own_spans="anthropic.lib._tracing",
    ),
    Library(
        "google.genai",
        "openinference-instrumentation-google-genai",
        (
            "opentelemetry.instrumentation.google_genai:GoogleGenAiSdkInstrumentor",
            "openinference.instrumentation.google_genai:GoogleGenAIInstrumentor",
            # Drops thoughts, but states the total, which includes them.
            "opentelemetry.instrumentation.google_generativeai:GoogleGenerativeAiInstrumentor",
        ),
    ),
    *(
        Library(
            module,
            "opentelemetry-instrumentation-mistralai",
            ("opentelemetry.instrumentation.mistralai:MistralAiInstrumentor",),
            own_spans="mistralai.extra.observability.otel",
        )
        for module in (
            "mistralai.client",
            "mistralai",
        )  # version 3, whose top package is a bare namespace, and version 1
    ),
    Library(
        "litellm",
        "openinference-instrumentation-litellm",
        ("openinference.instrumentation.litellm:LiteLLMInstrumentor",),
    ),
    Library(
        "cohere",
        "opentelemetry-instrumentation-cohere",
        ("opentelemetry.instrumentation.cohere:CohereInstrumentor",),
    ),
    Library(
        "ollama",
        "opentelemetry-instrumentation-ollama",
        ("opentelemetry.instrumentation.ollama:OllamaInstrumentor",),
    ),
)


def reports_by_itself(library: Library) -> bool:
    """Tell whether the installed version of a library makes its own spans."""
    try:
        return library.own_spans is not None and find_spec(library.own_spans) is not None
    except ModuleNotFoundError:
        return False


def instrument(library: Library, tracer_provider: Any) -> bool:
    """Have the best installed instrumentation report a library's calls; return whether there is one.

    An instrumentation that does not support the installed version of the library is skipped.
    """
    for path in library.instrumentors:
        module, _, name = path.partition(":")
        try:
            instrumentor = getattr(import_module(module), name)()
            instrumentor.instrument(tracer_provider=tracer_provider, raise_exception_on_conflict=True)
        except ImportError:
            continue
        except Exception as fault:
            if type(fault).__name__ != "DependencyConflictError":
                raise
            continue
        return True
    return False
