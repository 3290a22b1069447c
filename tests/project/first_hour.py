"""README, followed word by word in a fresh clone: `python -m tests.project.first_hour`, or `make test-long`.

Takes the blocks of README in their order, types their lines into a shell as four users would (with nothing,
with a key that is refused, with a model server, with Docker that is not there), and checks how each command
ends. Prints a row per command; exits with 1 if one ended otherwise. Installs packages, so it needs the
package index; asks no model and no other service but its own on 127.0.0.1.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from babyai_kit.local.player import OfflinePlayer
from tests.support.processes import environment
from tests.support.project import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"(?ms)^```(sh|ini)\n(.*?)^```$")
DEAD_KEY = "sk-dead-key-of-the-first-hour"
LONGEST_S = 1200


@dataclass(frozen=True)
class End:
    """How a command must end."""

    code: int = 0
    text: str = ""
    """A regular expression that its output must match."""
    leaves: tuple[str, ...] = ()
    """Files that must be there afterwards."""


@dataclass
class User:
    """`lead`: how the part of README begins that this user follows, up to the next such part or heading."""

    lead: str
    ends: Mapping[str, End | None]
    """By the beginning of a command; None for one that is not typed. Each line of README must have one."""
    env: dict[str, str] = field(default_factory=dict)
    """Values that the user writes into .env, beside those that README gives."""

    def blocks(self) -> Iterator[tuple[str, str]]:
        part = README[README.index(self.lead) + len(self.lead) :]
        yield from BLOCK.findall(re.split(r"(?m)^(?:## |\*\*[A-Z])", part)[0])


def users(refusing: str, answering: str) -> dict[str, User]:
    """The four; `refusing` and `answering` are base URLs of model servers."""
    told = End(2, r"docker compose does not answer; install Docker, or work without it: make run")
    left = ("results/babyai.ipynb", "results/first/steps.jsonl")
    return {
        "nothing": User("## Two commands", {"make run": End(0, leaves=left), "make test": None}),
        "key": User(
            "**An OpenAI key.**",
            {
                ". ": End(),
                "cp ": End(leaves=(".env",)),
                "babyai doctor": End(1, "OPENAI_API_KEY"),
                "babyai run": End(1, "OPENAI_API_KEY"),
            },
            # Else it would be OpenAI's server that is asked.
            {"OPENAI_API_KEY": DEAD_KEY, "OPENAI_BASE_URL": refusing},
        ),
        "server": User(
            "**Your own model server**",
            {
                ". ": End(),
                "babyai doctor": End(),
                "babyai run": End(leaves=("results/first-local/episodes.jsonl",)),
            },
            {"OPENAI_BASE_URL": answering},
        ),
        "docker": User("**Docker, with", {"make up": told, "make down": told}),
    }


def fresh_clone(folder: Path) -> Path:
    """The files of this checkout that git would clone, with changes that are not committed yet.

    Where there is no git, all but what the kit makes.
    """
    if not (ROOT / ".git").exists():
        made = shutil.ignore_patterns(".venv", "results", "data", "finetuned", ".env", "__pycache__")
        return Path(shutil.copytree(ROOT, folder, ignore=made))
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def shell_environment(folder: Path) -> dict[str, str]:
    """As in a new terminal: no environment is active, no setting is exported, and `docker` cannot compose."""
    tools = folder / "tools"
    tools.mkdir()
    (tools / "docker").write_text("#!/bin/sh\necho 'docker: unknown command: docker compose' >&2\nexit 1\n")
    (tools / "docker").chmod(0o755)
    here = Path(sys.prefix) / "bin"
    paths = [tools, *(path for path in os.environ["PATH"].split(os.pathsep) if Path(path) != here)]
    base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    values = environment(
        PATH=os.pathsep.join(map(str, paths)), PYTHON=str(base) if base.exists() else "python3"
    )
    return {k: v for k, v in values.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV", "MAKEFLAGS")}


def set_values(file: Path, values: Mapping[str, str]) -> None:
    """Replace the lines of these settings in `file`, as an editor would."""
    lines = file.read_text().splitlines() if file.exists() else []
    lines = [line for line in lines if line.partition("=")[0] not in values]
    file.write_text("\n".join([*lines, *(f"{name}={value}" for name, value in values.items())]) + "\n")


@dataclass
class Hour:
    clone: Path
    env: dict[str, str]
    wrong: int = 0

    async def follow(self, name: str, user: User) -> None:
        dot_env = self.clone / ".env"
        dot_env.unlink(missing_ok=True)
        shell = await asyncio.create_subprocess_exec(
            "bash", cwd=self.clone, env=self.env, limit=2**24,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        for language, block in user.blocks():
            if language == "ini":
                set_values(dot_env, dict(line.split("=", 1) for line in block.splitlines()) | user.env)
                continue
            for line in block.splitlines():
                await self._type(shell, name, user, line)
                if line.startswith("cp "):
                    set_values(dot_env, user.env)
        assert shell.stdin
        shell.stdin.close()
        await shell.wait()

    async def _type(self, shell: asyncio.subprocess.Process, name: str, user: User, line: str) -> None:
        known = [end for start, end in user.ends.items() if line.startswith(start)]
        if known == [None]:
            return
        started = time.monotonic()
        assert shell.stdin
        assert shell.stdout
        shell.stdin.write(f"{line}\nprintf '\\036%s\\n' $?\n".encode())
        text = await asyncio.wait_for(shell.stdout.readuntil(b"\x1e"), LONGEST_S)
        output, code = text[:-1].decode(errors="replace"), int(await shell.stdout.readline())
        problem = self._problem(known[0], code, output) if known else "README has it, and nobody expects it"
        command = line.partition("  #")[0].strip()
        print(f"{name:<8} {time.monotonic() - started:6.0f} s  exit {code}  {command}", flush=True)
        if problem:
            self.wrong += 1
            print(f"WRONG: {problem}\n{output}", flush=True)

    def _problem(self, end: End | None, code: int, output: str) -> str:
        assert end
        if code != end.code:
            return f"exit code {end.code} was expected"
        if "Traceback" in output or DEAD_KEY in output:
            return "the output shows a traceback or a key"
        if not re.search(end.text, output):
            return f"the output does not match {end.text!r}"
        missing = [file for file in end.leaves if not (self.clone / file).exists()]
        return f"{', '.join(missing)} is not there" if missing else ""


@asynccontextmanager
async def model_servers() -> AsyncIterator[tuple[str, str]]:
    """Base URLs of one that refuses every key but its own, and of one that knows README's model."""
    model = re.findall(r"(?m)^AGENT_MODEL=(.+)$", README)
    refusing, answering = OfflinePlayer(api_key="another"), OfflinePlayer(aliases=model)
    async with refusing, answering:
        yield refusing.base_url, answering.base_url


async def main() -> int:
    with tempfile.TemporaryDirectory(prefix="first-hour-") as folder:
        hour = Hour(fresh_clone(Path(folder) / "clone"), shell_environment(Path(folder)))
        async with model_servers() as (refusing, answering):
            for name, user in users(refusing, answering).items():
                await hour.follow(name, user)
    print("README holds." if not hour.wrong else f"{hour.wrong} commands ended otherwise.")
    return int(bool(hour.wrong))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
