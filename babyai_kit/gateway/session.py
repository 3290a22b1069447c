"""An open gateway: ask the model, send feedback, read the store, let go without losing a row.

Knows the gateway client; nothing of episodes or prompts, nor how the gateway was found.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from babyai_kit.configuration.prices import FREE, Price
from babyai_kit.configuration.settings import Settings
from babyai_kit.configuration.variants import FUNCTION, Config
from babyai_kit.errors import GatewayError, ServiceError, StoreError
from babyai_kit.gateway.errors import understand
from babyai_kit.gateway.http_gateway import answers
from babyai_kit.gateway.tensorzero_client import AsyncTensorZeroGateway, BaseTensorZeroError, uuid7
from babyai_kit.store.client import open_client

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

FLUSH_S = 0.4
"""Seconds after which a row is in ClickHouse, with the batch settings in config/ (measured)."""

EXIT_GRACE_S = 0.3
"""The gateway's threads can crash an interpreter that exits sooner after the drop (measured)."""


GRACE_S = 10.0
"""How much longer than its own timeout a call may take before the gateway, or what it waits for, hangs."""

STORE_S = 30.0
"""Longest wait for a call that only reads or writes ClickHouse, and for the last rows on closing."""

T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """One answered call. Tokens are None without usage, cost_usd (US dollars) without a price."""

    raw: str | None
    parsed: Any
    """The answer as JSON if it satisfies the output schema, else None."""
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    call_s: float
    inference_id: str
    model: str | None = None
    """What the model server calls its model; told by dry runs only."""


class Session:
    """An open gateway. Made by `connect()`; not usable after its `async with` has ended."""

    def __init__(
        self,
        gateway: AsyncTensorZeroGateway,
        config: Config,
        settings: Settings,
        clickhouse_url: str,
        model_url: str = "",
        revive: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.config = config
        self.settings = settings
        self.without_json_mode: set[str] = set()
        """Models whose server refuses JSON mode: they are asked in words alone."""
        self.model_url = model_url or settings.openai_base_url
        """Where the model server is now: the settings' address or the offline player's; may be empty for a
        gateway over HTTP."""
        self._gateway: AsyncTensorZeroGateway | None = gateway
        self._clickhouse_url = clickhouse_url
        self._revive = revive

    @property
    def embedded(self) -> bool:
        """True when the gateway runs in this process."""
        return not self.settings.gateway_url

    @property
    def price(self) -> Price | None:
        """Price of the default model; None where it is unknown."""
        return self.config.prices.price_of(self.settings.model)

    def __repr__(self) -> str:
        where = "embedded" if self.embedded else self.settings.gateway_url
        return f"<Session model={self.settings.model!r} gateway={where}>"

    def new_episode_id(self) -> str:
        """A fresh UUIDv7 for a plain episode."""
        return str(uuid7())

    async def infer(
        self,
        variant: str,
        episode_id: str,
        arguments: Mapping[str, Any],
        *,
        pinned: bool = False,
        tags: Mapping[str, str] | None = None,
        seed: int | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        dryrun: bool = False,
    ) -> Answer:
        """Ask `variant` once, without retry. Raises ModelError, GatewayError or StoreError.

        `pinned`: the episode belongs to a workflow evaluation, whose run names the variant. `dryrun`: the
        model is asked, nothing is stored.
        """
        model = self.config.variants[variant].model
        sampling = {
            "seed": seed,
            "temperature": temperature,
            "max_tokens": max_tokens,
            "json_mode": "off" if model in self.without_json_mode else None,
        }
        started = time.perf_counter()
        with self._typed_errors() as gateway:
            response: Any = await _within(
                self.settings.timeout_ms / 1000 + GRACE_S,
                gateway.inference(
                    function_name=FUNCTION,
                    variant_name=None if pinned else variant,
                    episode_id=episode_id,
                    input=dict(arguments),
                    params={"chat_completion": {k: v for k, v in sampling.items() if v is not None}},
                    tags=dict(tags or {}),
                    dryrun=dryrun,
                    include_raw_response=dryrun,
                ),
                # The model has a timeout of its own; what else a pinned call waits for is the store.
                StoreError if pinned else GatewayError,
            )
        usage = response.usage
        return Answer(
            raw=response.output.raw,
            parsed=response.output.parsed,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cost_usd=self._cost(model, usage),
            call_s=time.perf_counter() - started,
            inference_id=str(response.inference_id),
            model=_own_name(response.raw_response) if dryrun else None,
        )

    def _cost(self, model: str, usage: Any) -> float | None:
        """The gateway's figure, or the kit's own where the gateway was not told the price."""
        if usage.cost is not None:
            return float(usage.cost)
        price = self.config.prices.price_of(model)
        if price in (None, FREE) or usage.input_tokens is None:
            return None
        return price.cost_usd(usage.input_tokens, usage.output_tokens)

    async def start_evaluation(self, variant: str, project: str, name: str, tags: Mapping[str, str]) -> str:
        """Open a workflow evaluation run of `variant`, shown in the UI as `name` of `project`; its id."""
        with self._typed_errors() as gateway:
            run: Any = await _within(
                STORE_S,
                gateway.workflow_evaluation_run(
                    variants={FUNCTION: variant}, project_name=project, display_name=name, tags=dict(tags)
                ),
            )
        return str(run.run_id)

    async def start_evaluated_episode(self, evaluation_id: str, task: str, tags: Mapping[str, str]) -> str:
        """Open an episode of a workflow evaluation run; its id. Runs are compared by `task`."""
        with self._typed_errors() as gateway:
            episode: Any = await _within(
                STORE_S,
                gateway.workflow_evaluation_run_episode(
                    run_id=evaluation_id, task_name=task, tags=dict(tags)
                ),
            )
        return str(episode.episode_id)

    async def feedback(
        self, metric: str, value: bool | float, episode_id: str, tags: Mapping[str, str]
    ) -> None:
        """Store one metric of an episode. The gateway refuses it until an inference of it is stored."""
        with self._typed_errors() as gateway:
            await _within(
                STORE_S,
                gateway.feedback(metric_name=metric, value=value, episode_id=episode_id, tags=dict(tags)),
            )

    def clickhouse(self) -> Client:
        """A new clickhouse_connect client of the store; its calls block: use a thread. Close it."""
        return open_client(self._clickhouse_url)

    def client(self) -> contextlib.AbstractContextManager[AsyncTensorZeroGateway]:
        """The gateway's own client for what this class does not offer, with typed errors:
        `with session.client() as gateway: await gateway...`. Keep no reference to it."""
        return self._typed_errors()

    async def store_answers(self, timeout_s: float = 5.0) -> bool:
        """True if ClickHouse answers a ping."""
        parts = urlsplit(self._clickhouse_url)
        host = parts.netloc.rpartition("@")[2]
        return await answers(f"{parts.scheme}://{host}/ping", timeout_s)

    async def revive_store(self) -> None:
        """Start the local ClickHouse again, where it died; another one is its owner's.

        Raises StoreError if it does not start.
        """
        if self._revive:
            await self._revive()

    @contextlib.contextmanager
    def _typed_errors(self) -> Iterator[AsyncTensorZeroGateway]:
        if self._gateway is None:
            raise GatewayError("the session is closed; open a new one with connect()", kind="closed")
        try:
            yield self._gateway
        except BaseTensorZeroError as error:
            typed = understand(error)
            typed.args = (self.settings.redact(str(typed)),)
            raise typed from None

    async def close(self) -> None:
        """Hand every pending row to ClickHouse and let the gateway go. `connect()` does this on leaving.

        A ClickHouse that hangs is given up after STORE_S seconds; `reconcile` tells what it misses.
        """
        holder = [self._gateway]
        self._gateway = None
        loop, gone = asyncio.get_running_loop(), asyncio.Event()

        def drop() -> None:
            # Pending rows drain only when the last reference goes; close() flushes nothing.
            holder.clear()
            gc.collect()
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(gone.set)

        # A daemon, since the drop cannot be cancelled, and a hanging store must not keep the process alive.
        threading.Thread(target=drop, daemon=True, name="gateway-drop").start()
        try:
            await asyncio.wait_for(gone.wait(), STORE_S)
        except asyncio.TimeoutError:
            print(f"ClickHouse took no rows for {STORE_S:.0f} s and was given up; see that it runs")
        await asyncio.sleep(EXIT_GRACE_S)


async def _within(seconds: float, call: Awaitable[T], blamed: Callable[..., ServiceError] = StoreError) -> T:
    """What `call` gives. After `seconds` without an end, its service hangs: raises `blamed`."""
    # wait_for() of Python 3.10 and 3.11 can swallow a cancellation that comes with the answer.
    answer = asyncio.ensure_future(call)
    try:
        await asyncio.wait([answer], timeout=seconds)
        if answer.done():
            return answer.result()
    finally:
        answer.cancel()
    what, kind = ("ClickHouse", "store") if blamed is StoreError else ("the gateway", "timeout")
    raise blamed(f"{what} did not answer within {seconds:g} s; see that it runs", kind=kind, retryable=True)


def _own_name(raw: Any) -> str | None:
    """`model` of the model server's own answer, as the gateway passes it on."""
    try:
        name = json.loads(raw[0].data)["model"]
    except (TypeError, LookupError, ValueError, AttributeError):
        return None
    return name if isinstance(name, str) else None
