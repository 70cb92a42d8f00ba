"""Write with Grok, which calls two functions; its answers are shown while they are written.

Run it: `python examples/chat_with_tools.py` (the emulator answers, in virtual time). With `--live` and XAI_API_KEY set
Grok does.
"""

from __future__ import annotations

import sys
from typing import Any

import anyio

import xai_realtime as xai
from xai_realtime.chat.conversation import ChatConversation
from xai_realtime.emulator import Emulator, Prompt, ToolRequest, Turn
from xai_realtime.protocol.chat_outcome import TextDelta

LIVE = "--live" in sys.argv[1:]
MODEL = "grok-4.6"
QUESTIONS = ["Do I need a coat in Porto?", "Thank you!"]


@xai.tool
async def get_weather(city: str) -> dict[str, object]:
    """Current weather of a city."""
    await anyio.sleep(0.3)
    return {"city": city, "sky": "rain", "degrees": 14}


@xai.tool
def find_shop(thing: str) -> str:
    """The nearest shop that sells something. A plain function: it may block, and runs in a thread."""
    return f"{thing}s: Rua das Flores 12"


TOOLS: list[xai.Tool[..., Any]] = [get_weather, find_shop]


async def approve(call: xai.ToolCalled) -> bool | str:
    """Asked before each call: True runs it, a reason is told to the model instead."""
    return True if "Porto" in str(call.arguments) or call.name == "find_shop" else "only the weather of Porto is known"


def scenario(prompt: Prompt) -> Turn | str:
    """What the emulator does."""
    if "coat" not in prompt.heard:
        return "Stay dry!"
    calls = (ToolRequest("get_weather", {"city": "Porto"}), ToolRequest("find_shop", {"thing": "coat"}))
    return Turn(say="Let me look.", calls=calls, then="Yes, it rains. There is a shop in Rua das Flores.")


async def main() -> None:
    conversation = ChatConversation(system="Answer in one or two sentences.")
    ledger = xai.UsageLedger()
    async with xai.AsyncClient(transport=None if LIVE else Emulator(scenario, seed=1).transport()) as client:
        for question in QUESTIONS:
            conversation.add_user(question)
            print(f"you:   {question}", end="")
            lead = "\nGrok:  "
            async with client.chat.run(MODEL, conversation, tools=TOOLS, approve=approve, ledger=ledger) as run:
                async for event in run:
                    match event:
                        case TextDelta():
                            print(lead + event.text, end="", flush=True)
                            lead = ""
                        case xai.ToolCalled():
                            print(f"\n       calls {event.name} {event.arguments}", end="")
                        case xai.ToolFinished():
                            print(f"\n       {event.name}: {event.output} ({event.duration_ms:.0f} ms)", end="")
                            lead = "\nGrok:  "
            outcome = run.reply.outcome
            if outcome is not None:
                told = f"{outcome.status}, its first word after {outcome.first_text_ms or 0:.0f} ms"
                print(f"\n       ({len(run.replies)} answers, the last one {told})")
    used = ledger.session.chat
    print(f"used:  {used.total_tokens} tokens in {used.requests} requests, ${used.cost_usd}")


if __name__ == "__main__":
    anyio.run(main) if LIVE else xai.run_virtual(main)
