"""The live bar of a run: episodes done, success so far, errors, tokens, cost, calls in flight, time left."""

from __future__ import annotations

from types import TracebackType

from tqdm.auto import tqdm

from babyai_kit.runs.records import EpisodeRecord, StepRecord


class Progress:
    """A tqdm bar over episodes; a context manager."""

    def __init__(self, total: int, done: list[EpisodeRecord], *, show: bool) -> None:
        self._bar = tqdm(total=total, initial=len(done), unit="episode", disable=not show)
        self._finished = self._succeeded = self._errors = self._tokens = 0
        self._cost_usd = 0.0
        self._limit = ""
        for episode in done:
            self.count(episode)

    def count(self, episode: EpisodeRecord) -> None:
        """Count an episode without moving the bar."""
        if episode.status == "ok":
            self._finished += 1
            self._succeeded += bool(episode.success)
        else:
            self._errors += 1

    def episode(self, episode: EpisodeRecord) -> None:
        """An episode ended now."""
        self.count(episode)
        self._show()
        self._bar.update()

    def step(self, step: StepRecord) -> None:
        """A call was answered now."""
        self._tokens += (step.input_tokens or 0) + (step.output_tokens or 0)
        self._cost_usd += step.cost_usd or 0.0
        self._show()

    def limit(self, limit: int, max_limit: int) -> None:
        """`limit` calls may be in flight now, of `max_limit` when the server does not limit the rate."""
        self._limit = str(limit) if limit == max_limit else f"{limit} of {max_limit}"

    def say(self, line: str) -> None:
        """Print a line without disturbing the bar."""
        self._bar.write(line)

    def _show(self) -> None:
        counts = {"success": f"{self._succeeded / self._finished:.0%}" if self._finished else "-"}
        counts |= {"errors": str(self._errors), "tokens": f"{self._tokens:,}"}
        if self._cost_usd:
            counts["cost"] = f"${self._cost_usd:.3f}"
        if self._limit:
            counts["calls"] = self._limit
        self._bar.set_postfix(counts, refresh=False)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()
