"""How each agent is run: which answers it gets, resumed, forked and interrupted as that agent can be."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from tests.support.agents.billing import Answer, Bill, Tool
from tests.support.agents.server import AgentServer

from .installing import Environment

TIMEOUT_S: Final = 180
CLAUDE: Final = "claude-sonnet-4-5-20250929"
CUT: Final = Answer("These words are cut off before they come to any end at all.", how="cut")


@dataclass
class Run:
    """One agent's home, its server, and the bills of which it keeps no record or a part, with the reason."""

    name: str
    home: Path
    environment: Environment
    server: AgentServer
    unrecorded: list[tuple[Bill, Bill | None, str]] = field(default_factory=list)

    @property
    def work(self) -> Path:
        """The folder in which the agent works."""
        return self.home / "work"

    def variables(self, more: Mapping[str, str]) -> dict[str, str]:
        """Return the agent's environment: nothing of this machine's but the search path."""
        quiet = {"TERM": "dumb", "NO_COLOR": "1", "DISABLE_TELEMETRY": "1", "DISABLE_AUTOUPDATER": "1"}
        return {"HOME": str(self.home), "PATH": self.environment.path, **quiet, **more}

    def agent(self, variables: Mapping[str, str], *words: str) -> None:
        """Run the agent once, to its end."""
        program = str(self.environment.program(self.name))
        done = subprocess.run(
            [program, *words],
            cwd=self.work,
            env=self.variables(variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(
                f"{self.name} {' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
            )

    def interrupted(
        self,
        variables: Mapping[str, str],
        *words: str,
        kept: Callable[[Bill], Bill | None] = lambda _bill: None,
    ) -> None:
        """Run the agent until half of an answer came, then press Ctrl-C.

        ``kept`` is what the agent keeps a record of, of such an answer.
        """
        program = str(self.environment.program(self.name))
        before = len(self.server.bills)
        self.server.answer_next(CUT)
        with subprocess.Popen(
            [program, *words],
            cwd=self.work,
            env=self.variables(variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as running:
            if not self.server.begun.acquire(timeout=TIMEOUT_S):
                os.killpg(running.pid, signal.SIGKILL)
                raise RuntimeError(f"{self.name}: asked for nothing that could be interrupted")
            threading.Event().wait(0.5)  # the agent reads what came before it is interrupted
            os.killpg(running.pid, signal.SIGINT)
            try:
                running.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(running.pid, signal.SIGKILL)
        cut = [bill for bill in self.server.bills[before:] if not bill.told]
        self.unrecorded += [(bill, kept(bill), "an interrupted answer") for bill in cut]


def claude_code(run: Run) -> None:
    """A session with a tool, resumed, forked, with a sub-agent, and interrupted."""
    words = ("--model", CLAUDE, "--dangerously-skip-permissions")
    variables = {
        "ANTHROPIC_BASE_URL": run.server.address,
        "ANTHROPIC_API_KEY": "sk-ant-loopback",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "IS_SANDBOX": "1",
    }
    shell = Tool("Bash", {"command": "echo hello", "description": "Say hello"})
    helper = Tool("Task", {"description": "Help", "prompt": "Do it", "subagent_type": "general-purpose"})
    run.server.answer_next(
        Answer(tools=(shell,), thoughts="Let me think.", one_hour=True), Answer("All done.")
    )
    run.agent(variables, "-p", "say hello", *words)
    run.agent(variables, "-p", "again", "-c", *words)
    run.agent(variables, "-p", "forked", "-c", "--fork-session", *words)
    run.server.answer_next(
        Answer(how="busy"), Answer(tools=(helper,)), Answer("I helped."), Answer("Finished.")
    )
    run.agent(variables, "-p", "with help", "-c", *words)
    # Of an interrupted answer the input is kept, and of its output what the first event says: 1.
    run.interrupted(
        variables, "-p", "to be interrupted", *words, kept=lambda bill: replace(bill, tokens_output=1)
    )


def codex(run: Run) -> None:
    """A thread with a tool, resumed, forked twice, compacted, and interrupted."""
    home = run.home / ".codex"
    home.mkdir()
    (home / "config.toml").write_text(
        f"""model = "gpt-5.1-codex"
model_provider = "loopback"
approval_policy = "never"
sandbox_mode = "danger-full-access"
[model_providers.loopback]
name = "loopback"
base_url = "{run.server.address}/v1"
wire_api = "responses"
env_key = "LOOPBACK_KEY"
"""
    )
    variables = {"LOOPBACK_KEY": "none"}
    run.server.answer_next(
        Answer(tools=(Tool("exec_command", {"cmd": "echo hi"}),), thoughts="Hm."), Answer("Done.")
    )
    run.agent(variables, "exec", "--skip-git-repo-check", "say hello")
    run.agent(variables, "exec", "--skip-git-repo-check", "resume", "--last", "again")
    [log] = home.glob("sessions/**/rollout-*.jsonl")
    thread = json.loads(log.read_text().partition("\n")[0])["payload"]["id"]
    with AppServer(run, variables) as app:
        for _ in range(2):
            thread = app.call("thread/fork", threadId=thread)["thread"]["id"]
            app.call("turn/start", threadId=thread, input=[{"type": "text", "text": "forked"}])
            app.wait_for("turn/completed")
        app.call("thread/compact/start", threadId=thread)
        app.wait_for("turn/completed")
    run.interrupted(variables, "exec", "--skip-git-repo-check", "to be interrupted")


class AppServer:
    """Codex' own server, which forks threads: JSON-RPC, a line each."""

    def __init__(self, run: Run, variables: Mapping[str, str]) -> None:
        self._running = subprocess.Popen(
            [str(run.environment.program("codex")), "app-server"],
            cwd=run.work,
            env=run.variables(variables),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._number = 0

    def __enter__(self) -> AppServer:
        self.call("initialize", clientInfo={"name": "scripts.agents", "version": "1"})
        return self

    def __exit__(self, *_: object) -> None:
        assert self._running.stdin is not None
        self._running.stdin.close()
        self._running.wait(20)

    def call(self, method: str, **params: object) -> Any:  # whatever the method answers
        """Call a method and return its result."""
        assert self._running.stdin is not None
        self._number += 1
        asked = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}
        self._running.stdin.write(json.dumps(asked) + "\n")
        self._running.stdin.flush()
        return self._next(lambda told: told.get("id") == self._number)["result"]

    def wait_for(self, method: str) -> None:
        """Wait for a notification."""
        self._next(lambda told: told.get("method") == method)

    def _next(self, is_wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        assert self._running.stdout is not None
        for line in self._running.stdout:
            told: dict[str, Any] = json.loads(line)
            if is_wanted(told):
                return told
        raise RuntimeError("codex app-server ended")


def gemini_cli(run: Run) -> None:
    """A session with a tool and thoughts, resumed, and interrupted."""
    (run.home / ".gemini").mkdir()
    settings = {
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "privacy": {"usageStatisticsEnabled": False},
    }
    (run.home / ".gemini" / "settings.json").write_text(json.dumps(settings))
    variables = {
        "GOOGLE_GEMINI_BASE_URL": run.server.address,
        "GEMINI_API_KEY": "none",
        "GEMINI_CLI_TRUST_WORKSPACE": "true",
    }
    words = ("-y", "-m", "gemini-2.5-flash")
    shell = Tool("run_shell_command", {"command": "echo hi"})
    run.server.answer_next(Answer(tools=(shell,), thoughts="Hm."), Answer("All done.", thoughts="So."))
    run.agent(variables, "-p", "say hello", *words)
    run.agent(variables, "-p", "again", *words, "--resume", "latest")
    run.interrupted(variables, "-p", "to be interrupted", *words)


def qwen_code(run: Run) -> None:
    """A session with a tool and thoughts over an endpoint of OpenAI's format, resumed, and interrupted."""
    variables = {
        "OPENAI_BASE_URL": f"{run.server.address}/v1",
        "OPENAI_API_KEY": "none",
        "OPENAI_MODEL": "qwen3-coder-plus",
    }
    words = ("-y", "--auth-type", "openai")
    shell = Tool("run_shell_command", {"command": "echo hi", "is_background": False})
    run.server.answer_next(Answer(tools=(shell,), thoughts="Hm."), Answer("All done.", thoughts="So."))
    run.agent(variables, "-p", "say hello", *words)
    run.agent(variables, "-p", "again", *words, "--continue")
    run.interrupted(variables, "-p", "to be interrupted", *words)


def opencode(run: Run) -> None:
    """A session with a tool on one provider, continued on another, forked, and interrupted."""
    folder = run.home / ".config" / "opencode"
    folder.mkdir(parents=True)
    loopback = {"options": {"baseURL": f"{run.server.address}/v1", "apiKey": "none"}}
    settings = {
        "autoupdate": False,
        "share": "disabled",
        "permission": "allow",
        "provider": {"openai": loopback, "anthropic": loopback},
    }
    (folder / "opencode.json").write_text(json.dumps(settings))
    variables = {"OPENCODE_DISABLE_MODELS_FETCH": "1", "OPENCODE_DISABLE_AUTOUPDATE": "1"}
    shell = Tool("bash", {"command": "echo hi", "description": "Say hi"})
    run.server.answer_next(Answer(tools=(shell,), thoughts="Hm."), Answer("All done.", thoughts="So."))
    run.agent(variables, "run", "--model", "openai/gpt-5.1", "say hello")
    run.agent(variables, "run", "--continue", "--model", "anthropic/claude-sonnet-4-5", "again")
    run.agent(variables, "run", "--continue", "--fork", "--model", "anthropic/claude-sonnet-4-5", "forked")
    run.interrupted(variables, "run", "--model", "openai/gpt-5.1", "to be interrupted")
    titles = [bill for bill in run.server.bills if bill.model == "gpt-5.4-nano" and bill.told]
    run.unrecorded += [(bill, None, "a title") for bill in titles]


def copilot_cli(run: Run) -> None:
    """A session with a tool on a provider of the user's own, resumed, and interrupted."""
    variables = {
        "COPILOT_PROVIDER_BASE_URL": f"{run.server.address}/v1",
        "COPILOT_PROVIDER_API_KEY": "none",
        "COPILOT_PROVIDER_TYPE": "openai",
        "COPILOT_MODEL": "gpt-5.1",
        "COPILOT_OFFLINE": "true",
    }
    run.server.answer_next(
        Answer(tools=(Tool("bash", {"command": "echo hi", "description": "Say hi"}),)), Answer("Done.")
    )
    run.agent(variables, "-p", "say hello", "--allow-all-tools")
    run.agent(variables, "-p", "again", "--continue", "--allow-all-tools")
    run.interrupted(variables, "-p", "to be interrupted", "--allow-all-tools")


RUNS: Final[Mapping[str, Callable[[Run], None]]] = {
    "claude-code": claude_code,
    "codex": codex,
    "gemini-cli": gemini_cli,
    "qwen-code": qwen_code,
    "opencode": opencode,
    "copilot-cli": copilot_cli,
}


def perform(name: str, home: Path, environment: Environment) -> Run:
    """Run an agent in an empty home, and return what was billed."""
    with AgentServer() as server:
        run = Run(name, home, environment, server)
        run.work.mkdir(parents=True)
        subprocess.run(["git", "init", "-q", str(run.work)], check=True)
        RUNS[name](run)
    return run
