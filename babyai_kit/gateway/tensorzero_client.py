"""TensorZero's client behind the kit's protocol; the one module that imports it.

The gateway is embedded in this process or reached over HTTP: the client has the same methods for both. The
Rust side reads `RUST_LOG` once, at import, and then writes a line to stderr for every failed call, which the
kit already reports as an error. Export `RUST_LOG=warn` to see its log.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

os.environ.setdefault("RUST_LOG", "off")

from tensorzero import (
    AsyncTensorZeroGateway,
    BaseTensorZeroError,
    CreateDatapointsFromInferenceRequestParamsInferenceIds,
    ExtraBody,
    FinishReason,
    InferenceFilterTag,
    ListDatapointsRequest,
    ListInferencesRequest,
    TensorZeroError,
)

from babyai_kit.configuration.answer_forms import form_request
from babyai_kit.configuration.variants import CHAT_FUNCTION, FUNCTION
from babyai_kit.errors import GatewayError
from babyai_kit.gateway.episode_ids import new_episode_id
from babyai_kit.gateway.errors import call_error, start_error
from babyai_kit.gateway.inference_input import question_input, stored_chat, stored_step, text_of
from babyai_kit.gateway.protocol import Answer, Question, StoredInference
from babyai_kit.gateway.usage import details_of

FLUSH_S = 0.4
"""Seconds after which a row is in ClickHouse, with the batch settings in config/ (measured)."""

EXIT_GRACE_S = 0.3
"""The gateway's threads can crash an interpreter that exits sooner after the drop (measured)."""

CANCEL_GRACE_S = 1.0
"""A call that was cancelled holds the gateway until a thread of it has noticed, on a busy machine some tenths
of a second later (measured). Dropped before that, it would not be waited for."""

PAGE = 1000
"""Inferences listed by one call."""

BATCH = 500
"""Inferences put into a dataset by one call."""


class TensorZeroGateway:
    """A Gateway that also evaluates workflows, lists inferences and fine-tunes."""

    def __init__(self, client: AsyncTensorZeroGateway) -> None:
        self._client: AsyncTensorZeroGateway | None = client
        self._cancelled_at: float | None = None

    @classmethod
    async def embedded(cls, config_glob: str, clickhouse_url: str | None) -> TensorZeroGateway:
        """The gateway in this process. Raises ConfigError, StoreError or GatewayError."""
        try:
            return cls(
                await AsyncTensorZeroGateway.build_embedded(  # type: ignore[misc]
                    config_file=config_glob, clickhouse_url=clickhouse_url
                )
            )
        except BaseTensorZeroError as error:
            folder = config_glob.removesuffix("**/*.toml")
            raise start_error(str(error).replace(folder, "")) from None

    @classmethod
    async def over_http(cls, url: str, api_key: str = "") -> TensorZeroGateway:
        """The gateway at `url`, which may want its own `api_key`. Raises GatewayError."""
        try:
            return cls(
                await AsyncTensorZeroGateway.build_http(  # type: ignore[misc]
                    gateway_url=url, api_key=api_key or None
                )
            )
        except BaseTensorZeroError as error:
            raise _typed(error) from None

    def new_episode_id(self) -> str:
        return new_episode_id()

    async def ask(self, question: Question) -> Answer:
        params, extra_body = _parameters(question)
        with self._calling():
            response: Any = await self._open.inference(
                function_name=FUNCTION if question.messages is None else CHAT_FUNCTION,
                variant_name=None if question.pinned else question.served_as or question.variant,
                episode_id=question.episode_id,
                input=question_input(question),
                params={"chat_completion": params},
                extra_body=extra_body,
                tags=dict(question.tags),
                dryrun=question.dryrun,
                include_raw_response=question.dryrun,
                include_raw_usage=True,
            )
        usage, details = response.usage, details_of(response.raw_usage)
        chat = question.messages is not None
        return Answer(
            raw=text_of(response.content) if chat else response.output.raw,
            parsed=None if chat else response.output.parsed,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cost_usd=None if usage.cost is None else float(usage.cost),
            inference_id=str(response.inference_id),
            finish_reason=_finish_reason(response.finish_reason),
            model=_model_name(response.raw_response) if question.dryrun else None,
            cached_tokens=details.cached,
            cache_written_tokens=details.cache_written,
            reasoning_tokens=details.reasoning,
        )

    async def feedback(
        self, metric: str, value: bool | float, episode_id: str, tags: Mapping[str, str]
    ) -> None:
        with self._calling():
            await self._open.feedback(metric_name=metric, value=value, episode_id=episode_id, tags=dict(tags))

    async def flush(self) -> None:
        await asyncio.sleep(FLUSH_S)

    async def start_evaluation(
        self, variants: Mapping[str, str], project: str, name: str, tags: Mapping[str, str]
    ) -> str:
        with self._calling():
            run: Any = await self._open.workflow_evaluation_run(
                variants=dict(variants),
                project_name=project,
                display_name=name,
                tags=dict(tags),
            )
        return str(run.run_id)

    async def start_evaluated_episode(self, evaluation_id: str, task: str, tags: Mapping[str, str]) -> str:
        with self._calling():
            episode: Any = await self._open.workflow_evaluation_run_episode(
                run_id=evaluation_id, task_name=task, tags=dict(tags)
            )
        return str(episode.episode_id)

    async def stored_inferences(
        self, variant: str, run: str, *, chats: bool = False
    ) -> list[StoredInference]:
        of_run = InferenceFilterTag(comparison_operator="=", key="run", value=run)
        stored: list[StoredInference] = []
        while True:
            request = ListInferencesRequest(
                function_name=CHAT_FUNCTION if chats else FUNCTION,
                variant_name=variant,
                filters=of_run,
                limit=PAGE,
                # Newest come first, and ids grow with time.
                before=min(i.inference_id for i in stored) if stored else None,
            )
            with self._calling():
                page: Any = (await self._open.list_inferences(request=request)).inferences
            stored += [stored_chat(i) if chats else stored_step(i) for i in page]
            if len(page) < PAGE:
                return stored

    async def fill_dataset(self, name: str, inference_ids: Sequence[str]) -> None:
        with self._calling():
            dataset = await self._open.list_datapoints(
                dataset_name=name, request=ListDatapointsRequest(limit=len(inference_ids) + 1)
            )
            present = {str(datapoint.source_inference_id) for datapoint in dataset.datapoints}
            missing = [i for i in inference_ids if i not in present]
            for start in range(0, len(missing), BATCH):
                await self._open.create_datapoints_from_inferences(
                    dataset_name=name,
                    params=CreateDatapointsFromInferenceRequestParamsInferenceIds(
                        inference_ids=missing[start : start + BATCH]
                    ),
                )

    async def launch_workflow(
        self, variant: str, dataset: str, optimizer: Mapping[str, Any], val_fraction: float | None
    ) -> dict[str, Any]:
        with self._calling():
            handle = await self._open.experimental_launch_optimization_workflow(
                function_name=FUNCTION,
                template_variant_name=variant,
                dataset_name=dataset,
                val_fraction=val_fraction,
                optimizer_config=dict(optimizer),
            )
        job: dict[str, Any] = json.loads(str(handle))
        return job

    async def close(self, timeout_s: float) -> bool:
        loop, dropped = asyncio.get_running_loop(), asyncio.Event()
        holder = [self._client]
        self._client = None
        if self._cancelled_at is not None:
            await asyncio.sleep(max(0.0, self._cancelled_at + CANCEL_GRACE_S - loop.time()))

        def drop() -> None:
            # Pending rows drain only when the last reference goes; the client's close() flushes nothing.
            holder.clear()
            gc.collect()
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(dropped.set)

        # A daemon, since the drop cannot be cancelled, and a hanging store must not keep the process alive.
        threading.Thread(target=drop, daemon=True, name="gateway-drop").start()
        in_time = True
        try:
            await asyncio.wait_for(dropped.wait(), timeout_s)
        except asyncio.TimeoutError:
            in_time = False
        await asyncio.sleep(EXIT_GRACE_S)
        return in_time

    @property
    def _open(self) -> AsyncTensorZeroGateway:
        """The client. Never to be kept in a variable: the traceback of a call that was cancelled holds its
        variables, and as long as anything holds the client, no pending row is handed over."""
        if self._client is None:
            raise GatewayError("the session is closed; open a new one with connect()", kind="closed")
        return self._client

    @contextlib.contextmanager
    def _calling(self) -> Iterator[None]:
        try:
            yield
        except asyncio.CancelledError:
            self._cancelled_at = asyncio.get_running_loop().time()
            raise
        except BaseTensorZeroError as error:
            raise _typed(error) from None


def _finish_reason(reason: FinishReason | None) -> str | None:
    return None if reason in (None, FinishReason.UNKNOWN) else reason.value


def _parameters(question: Question) -> tuple[dict[str, Any], list[ExtraBody | dict[str, Any]]]:
    """The gateway's parameters of a call, and what it is to write into the request to the model server."""
    omitted = question.dialect.omitted
    params: dict[str, Any] = {
        "seed": question.seed,
        "temperature": question.temperature,
        "reasoning_effort": question.reasoning_effort,
        "thinking_budget_tokens": question.thinking_budget_tokens,
    }
    params = {name: value for name, value in params.items() if name not in omitted and value is not None}
    extra_body: list[ExtraBody | dict[str, Any]] = []
    # In JSON mode, as `config/` says; not in the gateway's strict mode, which would judge answers by the
    # request's schema and not by the function's.
    as_configured = question.dialect.answer_format == "json" and question.provider == "openai"
    if question.messages is None and not as_configured:
        form = form_request(question.provider, question.dialect.answer_format, question.schema or {})
        params["json_mode"] = form.json_mode
        extra_body += [dict(entry) for entry in form.extra_body]
    if question.max_tokens is not None:
        if "max_completion_tokens" not in omitted:
            params["max_tokens"] = question.max_tokens  # which the gateway sends under the newer name
        elif "max_tokens" not in omitted:
            extra_body.append({"pointer": "/max_tokens", "value": question.max_tokens})
    return params, extra_body


def _typed(error: BaseTensorZeroError) -> Exception:
    return call_error(str(error), error.status_code if isinstance(error, TensorZeroError) else None)


def _model_name(raw_response: Any) -> str | None:
    """`model` of the model server's own answer, as the gateway passes it on."""
    try:
        name = json.loads(raw_response[0].data)["model"]
    except (TypeError, LookupError, ValueError, AttributeError):
        return None
    return name if isinstance(name, str) else None
