"""The one import of a stage script: record AI calls, see what they cost, keep to a budget.

>>> from tempfile import TemporaryDirectory
>>> with TemporaryDirectory() as home, CostTracker(f"{home}/job-1", cost_storage_path=home) as tracker:
...     tracker.log_usage("openai", "gpt-4o", tokens_input=1000, tokens_output=200)
...     tracker.get_job_cost()
0.0045
0.0045
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar, Unpack

from .costs.errors import NOT_LOADED, BudgetExceeded, BudgetGateUnavailable
from .costs.model import UNKNOWN
from .costs.money import from_usd, to_usd
from .costs.pricing.names import infer_service, normalize_model_name
from .costs.tracking.call import (
    CallDetails,
    EstimateDetails,
    ResponseDetails,
    estimated_call,
    reported_call,
    unread_call,
)
from .costs.tracking.context import job_context, user_name
from .costs.tracking.estimates import calculate_cost, estimate
from .costs.tracking.session import Session
from .costs.tracking.stage import Stage, StageArguments, stage_options
from .costs.tracking.stats import PROCESS_STATS
from .costs.workspace import Workspace

if TYPE_CHECKING:
    from .costs.capture.captured import Captured
    from .costs.tracking.admitting import Admission, JobEstimate
    from .costs.tracking.call import Call
    from .costs.tracking.choosing import Choosing
    from .costs.tracking.reserving import ReserveDetails, Reserving
    from .costs.tracking.responses import CallerDetails

__all__ = [
    "BudgetExceeded",
    "BudgetGateUnavailable",
    "CostTracker",
    "calculate_cost",
    "normalize_model_name",
]

Stream = TypeVar("Stream")


class _ResponseModule(NamedTuple):
    """The functions that read responses, loaded at the first response."""

    details: type[CallerDetails]
    log_response: Callable[[Session, object, CallerDetails], float]
    log_stream: Callable[[Session, Any, CallerDetails], Any]
    as_call: Callable[[Captured], Call]
    record: Callable[[Session, Call], float]


@cache
def _responses() -> _ResponseModule:
    """Return the functions that read responses, kept: imports fail while the interpreter shuts down."""
    from .costs.tracking.responses import (  # scripts that count their own tokens do not pay for it
        CallerDetails,
        as_call,
        log_response,
        log_stream,
        prepare,
        record,
    )

    prepare()
    return _ResponseModule(CallerDetails, log_response, log_stream, as_call, record)


async def _in_thread(record: Callable[[], float]) -> float:
    """Record in a thread, or here where no thread can be started; exactly once either way."""
    pending = [record]

    def once() -> float:
        return pending.pop()() if pending else 0.0

    try:
        import asyncio  # ordinary stage scripts do not pay for it

        return await asyncio.to_thread(once)
    except (*NOT_LOADED, RuntimeError):  # no new thread can be started, or the interpreter ends
        if not pending:
            raise
        return once()


class CostTracker:
    """Records the AI calls of one job.

    Share one between threads and tasks; each process makes its own, and several may write to the
    same job at once. Nothing is opened or read before it is needed. No method that records
    raises for a storage failure: it warns, and keeps the entry until it can be written.

    Args:
        job_dir: the job's directory; its name is the job's id, and its ledger is
            ``cost_ledger.jsonl`` in it. Default: ``COST_TRACKER_JOB_DIR``, else the unassigned
            ledger of the cost storage.
        user_id: who pays, a number or a name. Default: ``COST_TRACKER_USER``, else ``"1"``.
        cost_storage_path: the folder of the sums, reservations and spooled lines. Default:
            ``COST_TRACKER_HOME``, else the platform's user data folder.
        profile_path: the profile with the budgets. Default: ``COST_TRACKER_PROFILE``, else
            ``config/profile.yaml`` here, else ``profile.yaml`` in the cost storage, else defaults.

    Raises:
        TypeError, ValueError: the user id is not a name, or the directory has no name.

    """

    def __init__(
        self,
        job_dir: str | Path | None = None,
        user_id: int | str | None = None,
        cost_storage_path: str | Path | None = None,
        *,
        profile_path: str | Path | None = None,
    ) -> None:
        workspace = Workspace(cost_storage_path, profile_path)
        job = job_context(job_dir, user_id, workspace.storage, workspace.environ)
        self._session = Session(workspace, job)

    # --- recording

    def log_usage(
        self,
        service: str,
        model: str,
        tokens_input: int = 0,
        tokens_output: int = 0,
        stage: str | None = None,
        metadata: Mapping[str, object] | None = None,
        **details: Unpack[CallDetails],
    ) -> float:
        """Price a call, append it durably to the job's ledger, and return its USD.

        ``tokens_input`` includes cached tokens and ``tokens_output`` reasoning; the further counts
        are subsets. An unpriced call returns 0.0, is recorded with ``cost_usd: null`` and warned
        about. With a ``request_id``, logging the same call again counts once and returns what was
        recorded; running the call again is a new request and counts. ``None`` as a count, which SDKs
        give where the server stated none, means *not stated*: a call without any count is unpriced.
        Further keywords are those of ``CallDetails``: ``tokens_cached``, ``operation``, ``attempt``, ...

        A budget never blocks this method: see :meth:`reserve`.

        Raises:
            TypeError, ValueError: an argument makes no sense, and nothing is written. No other
                error is raised, whatever happens to the disk.

        Example:
            >>> tracker = getfixture("tracker")
            >>> tracker.log_usage("openai", "whisper-1", audio_seconds=90, stage="06_asr")
            0.009

        """
        return self._session.record(
            reported_call(service, model, tokens_input, tokens_output, stage, metadata, **details)
        )

    async def alog_usage(self, service: str, model: str, *args: Any, **kwargs: Any) -> float:
        """As :meth:`log_usage`, without holding up the event loop while the disk is written."""
        return await _in_thread(partial(self._session.record, reported_call(service, model, *args, **kwargs)))

    def record_api_call(self, model: str, input_tokens: int, output_tokens: int, operation: str) -> float:
        """As :meth:`log_usage`, for code that knows only the model: the provider is inferred. Returns USD."""
        service = infer_service(model) or UNKNOWN
        return self.log_usage(service, model, input_tokens, output_tokens, operation=operation)

    def log_response(
        self,
        response: object,
        stage: str | None = None,
        metadata: Mapping[str, object] | None = None,
        *,
        service: str | None = None,
        model: str | None = None,
        **details: Unpack[ResponseDetails],
    ) -> float:
        """Record what a provider's response says it used, and return its USD.

        Takes an SDK's response object, or its dict, and recognises the provider: OpenAI and
        servers that speak its format, Anthropic, Gemini, Mistral, Cohere, Bedrock Converse, Ollama, LiteLLM,
        LangChain messages, Claude Agent SDK results. The provider's id of the response becomes the
        ``request_id``, so logging one response twice counts once. A response that several models
        worked on becomes one entry per model.

        Give ``service`` where the server speaks another provider's format, and ``model`` where the
        response names none (OpenAI transcription and images, Bedrock, Cohere): without it such a call is
        recorded as ``unknown``, unpriced. What you give here wins over what the response says. Streams go
        to :meth:`log_stream`.

        Raises:
            TypeError: the response is of no known kind; the message lists them. Or as ``log_usage``.
            ValueError: as ``log_usage``.

        Example:
            >>> tracker = getfixture("tracker")
            >>> answer = {"object": "chat.completion", "id": "c-1", "model": "gpt-4o",
            ...           "usage": {"prompt_tokens": 1000, "completion_tokens": 200}}
            >>> tracker.log_response(answer, stage="13_summary")
            0.0045

        """
        try:
            reader = _responses()
        except NOT_LOADED as fault:
            call = unread_call(response, stage, metadata, (service, model), details, fault)
            return self._session.record(call)
        given = reader.details(stage, metadata, service, model, details)
        return reader.log_response(self._session, response, given)

    async def alog_response(self, response: object, *args: Any, **kwargs: Any) -> float:
        """As :meth:`log_response`, without holding up the event loop while the disk is written."""
        return await _in_thread(partial(self.log_response, response, *args, **kwargs))

    def log_stream(
        self,
        stream: Stream,
        stage: str | None = None,
        metadata: Mapping[str, object] | None = None,
        *,
        service: str | None = None,
        model: str | None = None,
        **details: Unpack[ResponseDetails],
    ) -> Stream:
        """Return a stream to read in place of ``stream``; its call is recorded once, when it ends.

        It ends when it is read to its end, closed early, broken, or dropped. What arrived until then is
        recorded; where the provider's usage never arrived, the output is estimated from what was
        received, and the entry is flagged ``estimated`` with the reason. OpenAI sends usage in
        chat streams only on request: ``stream_options={"include_usage": True}``.

        The stream behaves like the SDK's own: sync or async, with its attributes, ``with`` and
        ``close()``. A stream manager (``client.messages.stream(...)``) works too. Arguments
        are those of :meth:`log_response`; the stage is the one that is open now.

        Raises:
            TypeError: this is not a stream. Or as ``log_usage``.
            ValueError: as ``log_usage``.

        """
        try:
            reader = _responses()
        except NOT_LOADED as fault:
            self._session.record(unread_call(stream, stage, metadata, (service, model), details, fault))
            return stream
        given = reader.details(stage, metadata, service, model, details)
        tracked: Stream = reader.log_stream(self._session, stream, given)
        return tracked

    def record_captured(self, captured: Captured) -> float:
        """Record a call that a hook has captured, in the stage that is open here; return its USD."""
        reader = _responses()
        return reader.record(self._session, reader.as_call(captured))

    def reverse(self, entry_id: str, why: str) -> float:
        """Take a recorded call back by appending a reversal; return the USD taken back.

        The call and the reason stay in the ledger. The reversal counts in the day and month of the
        call. Reversing it twice counts once.

        Raises:
            UnknownEntry: no ledger of this storage has a call with this id.
            TypeError, ValueError: the reason is missing or has control characters.

        """
        return to_usd(self._session.reverse(entry_id, why))

    def stage(self, name: str, **options: Unpack[StageArguments]) -> Stage:
        """Return a block (``with``, ``async with`` or a decorator) that is one run of a stage.

        When the block ends, also with an exception, the stage's cost line goes to ``logger`` (else to
        standard error), and so does each budget alert that is new in its period. ``attempt`` counts from 1.
        ``reserve`` is an amount in USD that is held for all calls of the block together, as
        :meth:`reserve` holds one for a single call; give ``reserve_calls`` and ``reserve_tokens`` too where a
        limit on calls or tokens blocks. ``project`` and ``tags`` apply to its calls that name none.

        Raises:
            TypeError, ValueError: an argument makes no sense.
            BudgetExceeded, BudgetGateUnavailable: on entering, when ``reserve`` is denied.

        """
        return Stage(self._session, stage_options(name, options))

    def reserve(
        self,
        service: str,
        model: str,
        *,
        tokens_input: int = 0,
        max_tokens_output: int | None = None,
        **details: Unpack[ReserveDetails],
    ) -> Reserving:
        """Return a block that holds the highest cost of a call before it is sent.

        Pass the hold that the block gives to ``log_usage`` as ``reservation``. Under ``block_at_limit``,
        parallel jobs that reserve cannot overrun a limit together. The hold covers all calls that are logged
        under it, together up to its amount; any excess is recorded and warned about. A block
        that ends without an entry leaves its amount counted, since the provider may have served the
        call; call ``void()`` on the hold when you are certain that nothing was sent. Works with
        ``async with`` too.

        Args:
            service: as in :meth:`log_usage`.
            model: as in :meth:`log_usage`.
            tokens_input: the input that will be sent, in tokens.
            max_tokens_output: the maximum output that the request allows, in tokens.
            details: further counts (``audio_seconds``, ``images``, ...); ``service_tier`` and ``region``,
                where they have a price of their own; ``stage``, ``project``, ``tags``, ``workflow`` and
                ``operation``, where they have limits; ``input_digest``, a hash of the input, for the
                profile's ``guard.same_request``; ``override``, the reason for exceeding a limit, which the
                entry keeps; ``expires_after_s``, for calls that wait for their provider: after its block the
                hold is *submitted*, until its results are logged with its id or that many seconds have
                passed.

        Raises:
            TypeError, ValueError: an argument makes no sense.
            BudgetExceeded: on entering: the call could exceed a blocking limit, which the error names.
            BudgetGateUnavailable: on entering: there may be a blocking limit, and it cannot be checked.

        Example:
            >>> tracker = getfixture("tracker")
            >>> with tracker.reserve("openai", "gpt-4o", tokens_input=1000, max_tokens_output=400) as hold:
            ...     tracker.log_usage("openai", "gpt-4o", 1000, 200, reservation=hold)
            0.0045

        """
        # The gate is imported by those who use it: recording alone starts faster without.
        try:
            from .costs.tracking.reserving import Reserving, call_request, make_intent
        except NOT_LOADED as fault:
            raise BudgetGateUnavailable(f"the budget gate cannot be loaded: {fault}; try again") from fault
        intent = make_intent(service, model, tokens_input, max_tokens_output, **details)
        return Reserving(self._session, call_request(self._session, intent))

    # --- before a job

    def estimate_job(
        self, stages: Iterable[str], *, audio_seconds: float = 0.0, tokens_input: int = 0
    ) -> JobEstimate | None:
        """Return what these stages of a job will likely cost, in USD, from what they cost this user before.

        By the minute of audio, or without audio by the input token: ``median``, ``ninety`` (nine of ten
        jobs cost less) and ``most`` (the amount to reserve). ``None`` without an earlier job to go by.

        Raises:
            TypeError, ValueError: a count makes no sense.
            StorageUnavailable: the sums cannot be read.

        """
        from .costs.model import Usage  # stage scripts do not pay for it
        from .costs.tracking.admitting import estimate_job

        usage = Usage(tokens_input=tokens_input, audio_seconds=audio_seconds)
        return estimate_job(self._session, tuple(stages), usage)

    def admit(self, usd: float, by_stage: Mapping[str, float] | None = None) -> Admission:
        """Reserve ``usd`` for a whole job, and return the reservation.

        ``by_stage`` splits the amount, in USD, for limits on stages and on tags that rules give to
        stages. Other jobs see the amount as held; processes started with the reservation's
        ``environ`` in their environment spend from it. Lower it as the job goes on, and close it
        when the job ends.

        Raises:
            BudgetExceeded: the job could exceed a blocking limit.
            BudgetGateUnavailable: there may be a blocking limit, and it cannot be checked.

        """
        from .costs.tracking.admitting import admit

        parts = tuple((stage, from_usd(each)) for stage, each in (by_stage or {}).items())
        return admit(self._session, from_usd(usd), parts)

    # --- before a call

    def estimate_cost(
        self,
        service: str,
        model: str,
        tokens_estimate: int | None = None,
        **details: Unpack[EstimateDetails],
    ) -> float:
        """Return what a call would cost now, in USD; 0.0, with a warning, when it has no price.

        ``tokens_estimate`` is input and output together, taken as 80/20.

        Raises:
            TypeError, ValueError: an argument makes no sense.

        Example:
            >>> tracker = getfixture("tracker")
            >>> tracker.estimate_cost("openai", "gpt-4o", tokens_input=1000, tokens_output=200)
            0.0045

        """
        call = estimated_call(service, model, tokens_estimate, **details)
        return to_usd(estimate(self._session.workspace, call))

    def choose(
        self,
        models: Sequence[str],
        *,
        tokens_input: int = 0,
        max_tokens_output: int | None = None,
        instead_of: str | None = None,
        **details: Unpack[ReserveDetails],
    ) -> Choosing:
        """Return a block for the first of several models that the budget still allows.

        Names are ``service/model``, or a model alone. On entering, each is tried as with
        :meth:`reserve`, in order, until one is not denied: call ``choice.service`` and ``choice.model``,
        and log with ``reservation=choice.hold``. Put models that run on this machine last: no budget
        denies them. Where the first was not chosen, the entry
        has ``degraded_from`` in its metadata. Works with ``async with`` too.

        Args:
            models: the candidates, the best first.
            tokens_input: as in :meth:`reserve`.
            max_tokens_output: as in :meth:`reserve`.
            instead_of: the model you would rather have called, where it is not the first candidate.
            details: as in :meth:`reserve`.

        Raises:
            TypeError, ValueError: an argument makes no sense, or there is no candidate.
            BudgetExceeded, BudgetGateUnavailable: on entering, when all are denied.

        Example:
            >>> tracker = getfixture("tracker")
            >>> models = ["openai/gpt-4o", "openai/gpt-4o-mini", "local/sumy"]
            >>> with tracker.choose(models, tokens_input=1000, max_tokens_output=400) as choice:
            ...     tracker.log_usage(choice.service, choice.model, 1000, 200, reservation=choice.hold)
            0.0045

        """
        try:
            from .costs.tracking.choosing import Choosing, candidates, named
            from .costs.tracking.reserving import make_intent
        except NOT_LOADED as fault:
            raise BudgetGateUnavailable(f"the budget gate cannot be loaded: {fault}; try again") from fault
        intents = [
            (name, make_intent(*named(name), tokens_input, max_tokens_output, **details)) for name in models
        ]
        return Choosing(self._session, candidates(self._session, intents), instead_of)

    def can_make_api_call(self, estimated_cost: float) -> tuple[bool, list[str]]:
        """Return whether a call of ``estimated_cost`` USD fits the budgets, and the messages about them.

        ``False`` only where it would exceed a limit that blocks (``block_at_limit``), or where the
        profile cannot be read. The call may be to any model; its stage, project and tags are those of the
        :meth:`stage` that is open. This holds nothing: another process
        may spend in between. Use :meth:`reserve` where the limit must hold.

        Raises:
            ValueError: the cost is below 0, or not finite.

        """
        cost = from_usd(estimated_cost)
        if cost < 0:
            raise ValueError(f"estimated_cost must be at least 0, not {estimated_cost!r}")
        return self._session.fits(cost)

    def check_budget_alerts(self, user_id: int | str | None = None) -> list[str]:
        """Return a message for each limit with a crossed threshold (the highest one), tightest limit first.

        Returns the same messages at every call while they are true. Where the budgets cannot be
        checked, the message says so.
        """
        return self._session.alerts(self._user(user_id))

    def is_over_budget(self, user_id: int | str | None = None) -> bool:
        """Return whether any limit of the user, or of the organisation, is reached.

        ``False``, with a warning in the log, where they cannot be checked; :meth:`reserve` refuses then.
        """
        return self._session.is_over(self._user(user_id))

    # --- what was spent

    def get_job_cost(self, job_id: str | None = None) -> float:
        """Return what a job (this one by default) has cost so far, in USD, for all its users.

        Raises:
            UnknownJob: no job has this id, or several do.

        """
        return to_usd(self._session.figures.job_cost(job_id))

    def get_stage_costs(self, job_id: str | None = None) -> dict[str, float]:
        """Return what each stage of a job (this one by default) has cost, in USD.

        Raises:
            UnknownJob: no job has this id, or several do.

        """
        costs = self._session.figures.stage_costs(job_id)
        return {stage: to_usd(cost) for stage, cost in costs.items()}

    def get_monthly_cost(self, user_id: int | str | None = None) -> float:
        """Return what a user (this tracker's by default) spent this month, in USD."""
        return to_usd(self._session.figures.month_cost(self._user(user_id)))

    def get_monthly_summary(self, user_id: int | str | None = None) -> dict[str, object]:
        """Return this month's totals of a user (this tracker's by default); money in USD.

        Keys: ``month``, ``user_id``, ``total_cost``, ``total_tokens``, ``total_calls``,
        ``unique_jobs``, ``avg_cost_per_job``, ``by_service``, ``by_model`` (``service/model``),
        ``by_stage``, ``by_operation``, ``unpriced_calls``.
        """
        return self._session.figures.month_summary(self._user(user_id)).as_dict()

    def get_usage_stats(self) -> dict[str, object]:
        """Return what this process has recorded so far: totals, by operation and by model; USD."""
        return PROCESS_STATS.snapshot()

    def get_average_cost_per_job(self) -> float:
        """Return the average USD a job over what this process has recorded; 0.0 before the first call."""
        return PROCESS_STATS.average_cost_per_job()

    def reset_usage_stats(self) -> None:
        """Reset this process's totals to zero. Ledgers are not touched."""
        PROCESS_STATS.reset()

    # --- closing

    def close(self) -> None:
        """Write what is still pending and close the cost storage. A later call opens it again."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _user(self, user_id: int | str | None) -> str | None:
        return None if user_id is None else user_name(user_id)
