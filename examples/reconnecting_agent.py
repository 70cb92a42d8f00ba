"""A line that drops in the middle of a conversation: the session connects again and knows all that was said.

Run it: `python examples/reconnecting_agent.py` (the emulator, in virtual time; its line is cut before the second answer
and refused once). With `--live` and XAI_API_KEY set, the session moves to a new connection of its own accord.
"""

from __future__ import annotations

import sys

import anyio

from xai_realtime import (
    AsyncClient,
    Fault,
    RealtimeSession,
    Reconnect,
    Reconnected,
    ResponseDone,
    SessionPolicy,
    SessionWarning,
    Transcript,
    faults,
    run_virtual,
)
from xai_realtime.emulator import Emulator, Prompt

LIVE = "--live" in sys.argv[1:]
PLAN = [
    Fault.cut(on="response.created", nth=2, conn=1),
    Fault.refuse(503, "overloaded", conn=2),
]


def agent(prompt: Prompt) -> str:
    """What the emulator says: it knows only what this connection was told."""
    said = " ".join(text for _, text in prompt.history) + prompt.heard
    name = "Ada" if "Ada" in said else "somebody I do not know"
    return f"You are {name}." if "remember" in prompt.heard else f"Nice to meet you, {name}!"


async def ask(session: RealtimeSession, text: str) -> None:
    """One question and its answer, whatever happens to the line."""
    start_s = anyio.current_time()

    def note(text: str) -> None:
        print(f"{anyio.current_time() - start_s:6.2f} s  {text}")

    note(f"user: {text}")
    await session.send_text(text)
    async for event in session:
        match event:
            case Transcript(role="assistant"):
                note(f"agent: {event.text}")
            case SessionWarning():
                note(f"warning: {event.message}")
            case Reconnected():
                note(f"reconnected after {event.outage_ms:.0f} ms and {event.attempts} attempts ({event.reason})")
            case ResponseDone():
                note(f"the reply is over: {event.reason or event.status}")
                if event.status == "completed":
                    return


async def main() -> None:
    transport = None if LIVE else faults(Emulator(agent, seed=1).transport(), PLAN, fail_unused=True)
    policy = SessionPolicy(reconnect=Reconnect(max_attempts=3, max_delay_s=2.0))
    async with AsyncClient(transport=transport) as client:
        async with client.realtime.session(policy=policy) as session:
            await ask(session, "Hello, I am Ada.")
            if LIVE:
                await session.restart()
            await ask(session, "Do you remember my name?")
            print("The conversation as it stands:")
            for item in session.conversation.items:
                print(f"  {item.role}: {item.said()}")


if __name__ == "__main__":
    anyio.run(main) if LIVE else run_virtual(main)
