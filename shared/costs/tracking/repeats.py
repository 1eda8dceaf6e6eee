"""Counts repeated requests for the guard against repetition, by the digest that the caller gives."""

from __future__ import annotations

import logging
from hashlib import sha256
from typing import TYPE_CHECKING

from ..budgets.guard import RepeatLimit, RepetitionGuard, bound_of
from ..budgets.port import Level
from ..errors import StorageUnavailable

if TYPE_CHECKING:
    from ..workspace import Workspace
    from .context import JobContext

log = logging.getLogger("shared.cost_tracker")


class RepeatCounter:
    """Counts the requests of one job if the profile has ``guard.same_request``, else does nothing.

    ``digest`` is the caller's digest of an input. Only a hash of it is kept, for ten minutes.
    """

    def __init__(self, workspace: Workspace, job: JobContext) -> None:
        self._workspace = workspace
        self._job = job

    def sending(self, service: str, model: str, digest: str, override: str | None = None) -> None:
        """Count a request that is about to be sent.

        Raises:
            BudgetExceeded: it was sent too often.

        """
        if (bound := self._bound) is not None:
            request = self._request(service, model, digest)
            self._repetitions.sending(bound, request, f"{service}/{model}", override)

    def unsent(self, service: str, model: str, digest: str) -> None:
        """Uncount a request that was not sent after all."""
        if self._bound is not None:
            self._repetitions.unsent(self._request(service, model, digest))

    def sent(self, service: str, model: str, digest: str) -> None:
        """Count a request that was sent; warn if it was sent too often."""
        if (bound := self._bound) is not None:
            self._repetitions.sent(bound, self._request(service, model, digest), f"{service}/{model}")

    @property
    def _bound(self) -> RepeatLimit | None:
        return bound_of(self._workspace.loaded_profile().profile, self._job.user_id)

    @property
    def _repetitions(self) -> RepetitionGuard:
        return RepetitionGuard(self._workspace.requests, self._workspace.clock, self._notify)

    def _notify(self, bound: RepeatLimit, request: str, level: Level, text: str) -> None:
        from ..notify.alerts import notify_repetition  # only for a loop, which is rare

        try:
            notify_repetition(self._workspace, bound.owner or "", f"{bound.scope} {request}", level, text)
        except StorageUnavailable as fault:
            log.warning("nobody is told of a repeated request: %s", fault)

    def _request(self, service: str, model: str, digest: str) -> str:
        name = self._workspace.catalogue_name(service, model)
        whole = repr((str(self._job.ledger), self._job.user_id, name, digest))
        return sha256(whole.encode(errors="surrogatepass")).hexdigest()
