"""A provider on the loopback interface that speaks real wire formats, for tests and for trying stages.

It is no mock: the real SDKs talk to it over TCP, and it counts words where a provider counts
tokens. What it said it used is kept in ``served``, for comparison with what the ledger holds.

    with ProviderServer() as server:
        server.next_replies(Reply("busy"), Reply(cached=4))
        ...                                  # an SDK with base_url=server.url("openai")
        assert server.served[-1].counts.tokens_output == 7

To run it by hand: ``python -m tests.support.provider --port 8123 --replies busy,normal``.
"""

from .replies import Counts, Reply, Served
from .server import ProviderServer

__all__ = ["Counts", "ProviderServer", "Reply", "Served"]
