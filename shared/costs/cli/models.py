"""Models as users name them on the command line."""

from __future__ import annotations

from ..pricing.names import infer_service


def named_model(name: str) -> tuple[str, str]:
    """Return service and model of ``service/model``, or of a model whose name tells its service.

    >>> named_model("openai/gpt-4o"), named_model("gpt-4o"), named_model("acme-1")
    (('openai', 'gpt-4o'), ('openai', 'gpt-4o'), ('', 'acme-1'))
    """
    service, slash, model = name.partition("/")
    return (service, model) if slash else (infer_service(name) or "", name)
