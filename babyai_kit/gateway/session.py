"""An open gateway with its model and store: ask, send feedback, read the store, let go without losing a row.

Every call has a bound, and no secret leaves in an error's text.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from babyai_kit.configuration.prices import FREE, Price
from babyai_kit.configuration.served_models import Model
from babyai_kit.configuration.settings import Settings
from babyai_kit.configuration.variants import Agent, Config
from babyai_kit.errors import GatewayError, InputError, ServiceError, StoreError
from babyai_kit.gateway.http_gateway import answers, healthy
from babyai_kit.gateway.leaving import leave
from babyai_kit.gateway.protocol import (
    Answer,
    EvaluatesWorkflows,
    FineTunes,
    Gateway,
    ListsInferences,
    Question,
    StoredInference,
)
from babyai_kit.runs.commands import command_line
from babyai_kit.store.client import open_client

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

GRACE_S = 10.0
"""How much longer than its own timeout a call may take before the gateway, or what it waits for, hangs."""

STORE_TIMEOUT_S = 30.0
"""Longest wait for a call that only reads or writes ClickHouse, and for the last rows on closing."""

Embed = Callable[[Sequence[str], str], Awaitable[list[list[float]]]]
"""Embeds texts with the model of a name; see `gateway.embeddings`."""

Serve = Callable[[Gateway, Sequence[Agent]], Awaitable[Gateway]]
"""Makes of an open gateway one that knows some agents too, and closes the former."""

T = TypeVar("T")
P = TypeVar("P")


class Session:
    """An open gateway. Made by `connect()`; not usable after its `async with` has ended."""

    def __init__(
        self,
        gateway: Gateway,
        config: Config,
        settings: Settings,
        *,
        clickhouse_url: str,
        model_url: str = "",
        revive: Callable[[], Awaitable[None]] | None = None,
        serve: Serve | None = None,
        embed: Embed | None = None,
        store_timeout_s: float = STORE_TIMEOUT_S,
    ) -> None:
        self.gateway = gateway
        self.config = config
        self.settings = settings
        self.model_url = model_url or settings.openai_base_url
        """Where the model server is now: the settings' address or the offline player's; may be empty for a
        gateway over HTTP."""
        self._clickhouse_url = clickhouse_url
        self._revive = revive
        self._store_timeout_s = store_timeout_s
        self._answered: set[str] = set()
        self._models: dict[str, tuple[Model, Price | None]] = {}
        self._serve = serve
        self._embed = embed
        self.reconcile_line = command_line("reconcile", "RUN")
        """The command that compares the latest run of this session with ClickHouse."""
        self.storage_checked = False
        """True once the gateway was seen to store in this session's ClickHouse."""

    def with_settings(self, config: Config, settings: Settings) -> Session:
        """The same gateway, model and store under other settings; close one of the two."""
        session = Session(
            self.gateway,
            config,
            settings,
            clickhouse_url=self._clickhouse_url,
            model_url=self.model_url,
            revive=self._revive,
            serve=self._serve,
            embed=self._embed,
            store_timeout_s=self._store_timeout_s,
        )
        session.storage_checked = self.storage_checked
        session.reconcile_line = self.reconcile_line
        return session

    @property
    def embedded(self) -> bool:
        """True when the gateway runs in this process."""
        return not self.settings.gateway_url

    @property
    def price(self) -> Price | None:
        """Price of the settings' model; None where it is unknown."""
        return self.config.price_of(self.config.model(self.settings.model))

    def __repr__(self) -> str:
        where = "embedded" if self.embedded else self.settings.gateway_url
        return f"<Session model={self.settings.model!r} gateway={self.settings.redact(where)}>"

    async def serve(self, agents: Sequence[Agent]) -> None:
        """Let the gateway know `agents`, if it does not yet.

        The embedded one is made anew for that, so no call may be under way; one over HTTP has what its own
        configuration has. Raises ConfigError for models that it refuses, StoreError or GatewayError.
        """
        if self._serve is not None:
            self.gateway = await self._serve(self.gateway, agents)

    def new_episode_id(self) -> str:
        """A fresh UUIDv7 for a plain episode."""
        return self.gateway.new_episode_id()

    async def ask(self, question: Question) -> Answer:
        """Ask once, without retry. Raises ModelError, GatewayError or StoreError."""
        if question.messages is None and question.dialect.answer_format in ("schema", "tool"):
            question = dataclasses.replace(question, schema=self.config.strict_schema(question.variant))
        model, price = self._model(question.model or self.config.variants[question.variant].model)
        question = dataclasses.replace(question, provider=model.asked_as)
        started = time.perf_counter()
        answer = await self._bounded(
            self.gateway.ask(question),
            self._answer_timeout_s(model) + GRACE_S,
            # The model has a timeout of its own; what else a pinned call waits for is the store.
            on_timeout=StoreError if question.pinned else GatewayError,
        )
        call_s = time.perf_counter() - started
        self._answered.add(model.name)
        return dataclasses.replace(answer, call_s=call_s, cost_usd=_cost(price, answer))

    async def embed(self, texts: Sequence[str], model: str = "") -> list[list[float]]:
        """The vectors of `texts` by `model` (empty: the one that fits the settings). Raises InputError for a
        model that has none, ModelError."""
        if self._embed is None:
            raise InputError("this session has no embeddings; open it with connect()")
        return await self._redacted(self._embed(texts, model))

    def _answer_timeout_s(self, model: Model) -> float:
        return self.settings.timeout_s if model.name in self._answered else self.settings.first_timeout_s

    def _model(self, name: str) -> tuple[Model, Price | None]:
        """The model and its price."""
        if name not in self._models:
            model = self.config.model(name)
            self._models[name] = model, self.config.price_of(model)
        return self._models[name]

    async def feedback(
        self, metric: str, value: bool | float, episode_id: str, tags: Mapping[str, str]
    ) -> None:
        """Store one metric of an episode. The gateway refuses it until an inference of it is stored."""
        await self._bounded(self.gateway.feedback(metric, value, episode_id, tags))

    async def flush(self) -> None:
        """Return when the answers and feedback so far are, in an undisturbed store, visible to queries."""
        await self._bounded(self.gateway.flush())

    async def start_evaluation(
        self, variants: Mapping[str, str], project: str, name: str, tags: Mapping[str, str]
    ) -> str:
        """Open a workflow evaluation run of `variants` by function, shown as `name` of `project`; its id."""
        gateway = self._able(EvaluatesWorkflows, "workflow evaluations")  # type: ignore[type-abstract]
        return await self._bounded(gateway.start_evaluation(variants, project, name, tags))

    async def start_evaluated_episode(self, evaluation_id: str, task: str, tags: Mapping[str, str]) -> str:
        """Open an episode of a workflow evaluation run; its id. Runs are compared by `task`."""
        gateway = self._able(EvaluatesWorkflows, "workflow evaluations")  # type: ignore[type-abstract]
        return await self._bounded(gateway.start_evaluated_episode(evaluation_id, task, tags))

    async def stored_inferences(
        self, variant: str, run: str, *, chats: bool = False
    ) -> list[StoredInference]:
        """Every stored inference of `variant` (the gateway's name) in `run`, as the gateway lists them."""
        gateway = self._able(ListsInferences, "listing inferences")  # type: ignore[type-abstract]
        return await self._redacted(gateway.stored_inferences(variant, run, chats=chats))

    async def fill_dataset(self, name: str, inference_ids: Sequence[str]) -> None:
        """Put these inferences into the gateway's dataset `name`, each once."""
        gateway = self._able(FineTunes, "fine-tuning")  # type: ignore[type-abstract]
        await self._redacted(gateway.fill_dataset(name, inference_ids))

    async def launch_workflow(
        self, variant: str, dataset: str, optimizer: Mapping[str, Any], val_fraction: float | None = None
    ) -> dict[str, Any]:
        """Start the gateway's own fine-tuning on `dataset` with the prompts of `variant`; its job."""
        gateway = self._able(FineTunes, "fine-tuning")  # type: ignore[type-abstract]
        return await self._redacted(gateway.launch_workflow(variant, dataset, optimizer, val_fraction))

    def clickhouse(self) -> Client:
        """A new clickhouse_connect client of the store; its calls block: use a thread. Close it."""
        return open_client(self._clickhouse_url)

    @property
    def patience_s(self) -> float:
        """How long a store or a gateway that is away is waited for where nothing else goes on."""
        return 2 * self._store_timeout_s

    async def store_answers(self, timeout_s: float = 5.0) -> bool:
        """True if ClickHouse answers a ping."""
        parts = urlsplit(self._clickhouse_url)
        host = parts.netloc.rpartition("@")[2]
        return await answers(f"{parts.scheme}://{host}/ping", timeout_s)

    async def gateway_answers(self, timeout_s: float = 5.0) -> bool:
        """True if the gateway is there and well; the one in this process always is."""
        url, key = self.settings.gateway_url, self.settings.gateway_api_key
        return self.embedded or await healthy(url, timeout_s, key)

    async def revive_store(self) -> None:
        """Start the local ClickHouse again where it died; does nothing for any other.

        Raises StoreError if it does not start.
        """
        if self._revive:
            await self._revive()

    async def close(self) -> None:
        """Hand every pending row to ClickHouse and let the gateway go. `connect()` does this on leaving.

        A ClickHouse that hangs is given up after the store's timeout; `reconcile` reports what it misses.
        """
        await leave(
            self.gateway, self._store_timeout_s, compare_with=self.reconcile_line, embedded=self.embedded
        )

    def _able(self, ability: type[P], what: str) -> P:
        if not isinstance(self.gateway, ability):
            raise GatewayError(f"this gateway does not support {what}; use TensorZero's", kind="unsupported")
        return self.gateway

    async def _bounded(
        self,
        call: Awaitable[T],
        timeout_s: float | None = None,
        *,
        on_timeout: type[StoreError] | type[GatewayError] = StoreError,
    ) -> T:
        """The result of `call`. Without one after `timeout_s` (default: the store's), its service hangs:
        raises `on_timeout`."""
        timeout_s = self._store_timeout_s if timeout_s is None else timeout_s
        # wait_for() of Python 3.10 and 3.11 can swallow a cancellation that comes with the answer.
        task = asyncio.ensure_future(self._redacted(call))
        try:
            await asyncio.wait([task], timeout=timeout_s)
            if task.done():
                return task.result()
        finally:
            task.cancel()
        if on_timeout is StoreError:
            service = "ClickHouse" if self.embedded else "the gateway, or the ClickHouse that it uses,"
            raise StoreError(_no_answer(service, timeout_s), kind="store", retryable=True)
        raise GatewayError(_no_answer("the gateway", timeout_s), kind="timeout", retryable=True)

    async def _redacted(self, call: Awaitable[T]) -> T:
        try:
            return await call
        except ServiceError as error:
            error.args = (self.settings.redact(str(error)),)
            raise


def _cost(price: Price | None, answer: Answer) -> float | None:
    """What the answer cost at the kit's price, else as the gateway says."""
    if price is FREE:
        return None
    if price is None or answer.usage is None:
        return answer.cost_usd
    return price.cost_usd(*answer.usage)


def _no_answer(service: str, timeout_s: float) -> str:
    return f"{service} did not answer within {timeout_s:g} s; check that it is running"
