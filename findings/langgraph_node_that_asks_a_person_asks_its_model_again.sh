#!/usr/bin/env bash
# langgraph 1.2.24: a node that asks a model, waits for a person and goes on asks the model again after each answer of the person:
# five requests are billed where the code has two, and the messages of the graph have two.
#
# `interrupt("Send it?")` reads like a call that waits. It raises, and when the graph is resumed the node runs from its first line,
# with the person's answers put in the place of the interrupts so far. What the node asked before is asked once more for each of
# them, and the draft that a person approved is not the one that is sent. The usage of the earlier requests is in no message,
# since nothing of the first runs of the node was written. A node with one interrupt costs up to twice, with n of them n + 1 times.
# LangGraph's documentation says that a node runs again and warns of side effects; a paid request is one.
#
# What to do: ask the model in a node of its own before the one that waits, or in a `@task`, whose result is kept.
#
# Seen on 2026-11-30 with Python 3.11; each request 1,000 tokens; draft, interrupt, final text, interrupt:
#   one node             5 requests  messages' usage 2000
#   a node each          2 requests  messages' usage 2000
#   one node with tasks  2 requests  messages' usage 2000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "langgraph==1.2.24" "langgraph-checkpoint==4.3.2" \
  "langchain-core==1.8.3" 2>/dev/null
"$folder/env/bin/python" -W ignore - <<'PYTHON'
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import task
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt

requests = 0


def ask(what):
    global requests
    requests += 1
    usage = {"input_tokens": 900, "output_tokens": 100, "total_tokens": 1000}
    return AIMessage(f"{what} {requests}", usage_metadata=usage)


kept = task(ask)


def one_node(state):
    draft = ask("draft")
    interrupt(f"Go on with {draft.content}?")
    final = ask("final")
    interrupt(f"Send {final.content}?")
    return {"messages": [draft, final]}


def one_node_with_tasks(state):
    draft = kept("draft").result()
    interrupt(f"Go on with {draft.content}?")
    final = kept("final").result()
    interrupt(f"Send {final.content}?")
    return {"messages": [draft, final]}


def draft(state):
    return {"messages": [ask("draft")]}


def final(state):
    return {"messages": [ask("final")]}


def wait(state):
    interrupt(f"Go on with {state['messages'][-1].content}?")


def graph(*nodes):
    built, last = StateGraph(MessagesState), START
    for number, node in enumerate(nodes):
        built.add_node(str(number), node)
        built.add_edge(last, str(number))
        last = str(number)
    return built.compile(checkpointer=InMemorySaver())


for name, app, expected in (
    ("one node", graph(one_node), 5),
    ("a node each", graph(draft, wait, final, wait), 2),
    ("one node with tasks", graph(one_node_with_tasks), 2),
):
    requests, thread = 0, {"configurable": {"thread_id": "1"}}
    app.invoke({"messages": []}, thread)
    app.invoke(Command(resume="yes"), thread)
    state = app.invoke(Command(resume="yes"), thread)
    usage = sum(message.usage_metadata["total_tokens"] for message in state["messages"])
    print(f"{name:20} {requests} requests  messages' usage {usage}")
    assert (requests, usage) == (expected, 2000), name
PYTHON
