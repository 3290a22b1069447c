"""A thread for the synchronous code of one episode, and how that code asks on the event loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import queue
import threading
import weakref
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from babyai_kit.errors import KitError

T = TypeVar("T")
Q = TypeVar("Q")
A = TypeVar("A")


class EpisodeOver(BaseException):
    """Ends code that asks although nobody will answer. Not an Exception, so that code which tries again
    whatever happens ends, too."""


class EpisodeThread(Generic[Q, A]):
    """Runs the synchronous code of one episode, all of it in one thread, since some objects allow no other.

    The thread holds no process back, and ends with this object. Code whose `run` was cancelled is left to
    itself until it asks the next time.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] | None = None
        self._turn: _Turn[Q, A] | None = None

    async def run(self, job: Callable[[], T], answer: Callable[[Q], Awaitable[A]]) -> T:
        """What `job()` returns or raises. What it asks in the meantime is answered by `answer`, one question
        at a time; if that raises, so does this, whatever `job` makes of it."""
        turn: _Turn[Q, A] = _Turn(asyncio.get_running_loop())
        self._turn = turn
        result: concurrent.futures.Future[T] = concurrent.futures.Future()

        def work() -> None:
            try:
                result.set_result(job())
            except BaseException as error:
                result.set_exception(_as_exception(error))
            turn.post(None)

        self._put(work)
        try:
            while (question := await turn.questions.get()) is not None:
                await question.get_answered(answer)
            return result.result()
        finally:
            turn.end()

    def ask(self, asked: Q) -> A:
        """The answer to `asked`; of code that `run` runs, in whatever thread. Raises the KitError for which
        there is none, and EpisodeOver once nobody answers."""
        if self._turn is None:
            raise EpisodeOver
        question: _Question[Q, A] = _Question(asked)
        self._turn.post(question)
        return question.answer.result()

    def _put(self, work: Callable[[], None]) -> None:
        if self._jobs is None:
            self._jobs = queue.SimpleQueue()
            threading.Thread(target=_work, args=(self._jobs,), name=self._name, daemon=True).start()
            weakref.finalize(self, self._jobs.put, None).atexit = False
        self._jobs.put(work)


def _work(jobs: queue.SimpleQueue[Callable[[], None] | None]) -> None:
    while (job := jobs.get()) is not None:
        job()
        del job  # it holds the agent, which holds this thread


@dataclass(frozen=True)
class _Question(Generic[Q, A]):
    asked: Q
    answer: concurrent.futures.Future[A] = field(default_factory=concurrent.futures.Future)

    async def get_answered(self, answer: Callable[[Q], Awaitable[A]]) -> None:
        try:
            self.answer.set_result(await answer(self.asked))
        except KitError as error:
            self.answer.set_exception(error)
            raise
        finally:
            if not self.answer.done():
                self.answer.set_exception(EpisodeOver())


class _Turn(Generic[Q, A]):
    """The questions of one job, on their way to the event loop; None says that it has ended."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.questions: asyncio.Queue[_Question[Q, A] | None] = asyncio.Queue()
        self._loop = loop
        self._over = False

    def post(self, question: _Question[Q, A] | None) -> None:
        """From another thread."""
        try:
            self._loop.call_soon_threadsafe(self._arrive, question)
        except RuntimeError:  # the loop is closed
            if question is not None:
                raise EpisodeOver from None

    def end(self) -> None:
        """Nobody answers any more."""
        self._over = True
        while not self.questions.empty():
            self._arrive(self.questions.get_nowait())

    def _arrive(self, question: _Question[Q, A] | None) -> None:
        # Here rather than in `post`: on the loop's own thread nothing comes in between.
        if not self._over:
            self.questions.put_nowait(question)
        elif question is not None:
            question.answer.set_exception(EpisodeOver())


def _as_exception(error: BaseException) -> Exception:
    """Code that ends by sys.exit() must not end the process; StopIteration means something else to a loop."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    return RuntimeError(f"{type(error).__name__}: {error}".rstrip(": ")).with_traceback(error.__traceback__)
