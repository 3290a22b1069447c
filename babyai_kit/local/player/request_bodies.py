"""Request bodies in OpenAI's form: a model per body, with the fields that this server honours.

See `validation` for what all of them have in common.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from babyai_kit.local.player.logprobs import MAX_TOP_LOGPROBS
from babyai_kit.local.player.validation import Body


def _join_text(content: Any) -> Any:
    """Text parts become lines of one text; lone surrogates, which no tokenizer takes, are replaced."""
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        texts = [text for text in parts if isinstance(text, str)]
        if len(texts) < len(content):
            raise ValueError("only text parts are supported")
        content = "\n".join(texts)
    return content.encode("utf-8", "replace").decode("utf-8") if isinstance(content, str) else content


class CalledFunction(Body):
    arguments: str = ""


class ToolCall(Body):
    function: CalledFunction = CalledFunction()


class Message(Body):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Annotated[str, BeforeValidator(_join_text)] = ""
    """Absent from an assistant message that called a tool."""
    tool_calls: list[ToolCall] = Field([])

    @property
    def pair(self) -> tuple[str, str]:
        """Role and text; of a message that called a tool, the arguments, which is what a player answered."""
        return self.role, self.content or "\n".join(call.function.arguments for call in self.tool_calls)


class ExampleMessage(Message):
    weight: int = Field(1, ge=0, le=1)
    """Of an assistant message: whether it is learned."""


class ExampleBody(Body):
    """A line of a training file."""

    messages: list[ExampleMessage] = Field(min_length=1)


class FreeFormat(Body):
    type: Literal["text", "json_object"] = "text"


class NamedSchema(Body):
    content: dict[str, Any] = Field({}, alias="schema")


class SchemaFormat(Body):
    type: Literal["json_schema"]
    json_schema: NamedSchema


class Function(Body):
    name: str
    parameters: dict[str, Any] = Field({})


class Tool(Body):
    function: Function | None = None
    """None: a tool of another type, which cannot be called here."""


class ToolChoice(Body):
    function: Function


def _as_list(stop: Any) -> Any:
    if isinstance(stop, str):
        return [stop] if stop else []
    return stop


def _in_list(text: Any) -> Any:
    return [text] if isinstance(text, str) else text


class ChatBody(Body):
    """POST /v1/chat/completions."""

    model: str = Field(min_length=1)
    messages: list[Message] = Field(min_length=1)
    n: Literal[1] = 1
    temperature: float = Field(1.0, ge=0, le=2)
    top_p: float = Field(1.0, ge=0, le=1)
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    stop: Annotated[list[Annotated[str, Field(min_length=1)]], BeforeValidator(_as_list)] = Field([])
    stream: bool = False
    response_format: Annotated[FreeFormat | SchemaFormat, Field(discriminator="type")] = FreeFormat()
    tools: list[Tool] = Field([])
    tool_choice: Literal["none", "auto", "required"] | ToolChoice = "auto"
    logprobs: bool = False
    top_logprobs: int = Field(0, ge=0, le=MAX_TOP_LOGPROBS)

    @field_validator("top_logprobs")
    @classmethod
    def _has_logprobs(cls, top: int, info: ValidationInfo) -> int:
        if top and not info.data.get("logprobs", True):
            raise ValueError("set 'logprobs' to true to use it")
        return top

    @field_validator("tool_choice")
    @classmethod
    def _is_offered(cls, choice: str | ToolChoice, info: ValidationInfo) -> str | ToolChoice:
        functions = _functions(info.data.get("tools", []))
        if choice == "required" and not functions:
            raise ValueError("a tool is required, but 'tools' has no function")
        if isinstance(choice, ToolChoice) and choice.function.name not in functions:
            raise ValueError(f"'tools' has no function {choice.function.name}")
        return choice

    @property
    def callable(self) -> dict[int, Function]:
        """The functions of which one must be called, by their place in `tools`. None with "auto" too: then
        the player answers in plain text."""
        functions = _functions(self.tools)
        if isinstance(self.tool_choice, ToolChoice):
            functions = {self.tool_choice.function.name: functions[self.tool_choice.function.name]}
        elif self.tool_choice != "required":
            functions = {}
        return dict(functions.values())


def _functions(tools: list[Tool]) -> dict[str, tuple[int, Function]]:
    """By name, with their places."""
    return {tool.function.name: (place, tool.function) for place, tool in enumerate(tools) if tool.function}


class EmbeddingBody(Body):
    """POST /v1/embeddings."""

    model: str = Field(min_length=1)
    input: Annotated[
        list[Annotated[str, BeforeValidator(_join_text), Field(min_length=1)]],
        BeforeValidator(_in_list),
        Field(min_length=1, max_length=2048),
    ]
    """Texts; tokens are not accepted."""
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: None = None
    """A vector cannot be shortened here."""


class Supervised(Body):
    hyperparameters: dict[str, Any] = Field(default={})
    """Which there are, the model's trainer says."""


class Method(Body):
    type: Literal["supervised"]
    supervised: Supervised = Supervised()


class JobBody(Body):
    """POST /v1/fine_tuning/jobs."""

    model: str = Field(min_length=1)
    training_file: str = Field(min_length=1)
    validation_file: str | None = None
    suffix: str | None = Field(None, max_length=64)
    integrations: list[Any] = Field([], max_length=0)  # this server has none
    metadata: dict[str, str] | None = None
    seed: int | None = Field(None, ge=0, lt=2**31)
    method: Method = Method(type="supervised")
    hyperparameters: dict[str, Any] = Field({})
    """The older place of `method.supervised.hyperparameters`, which goes first."""

    @field_validator("suffix")
    @classmethod
    def _is_printable(cls, suffix: str) -> str:
        if not suffix.isprintable():
            raise ValueError("use printable characters only")
        return suffix
