"""Ten minutes of a call in a blink: silence, a slow tool and a reminder, on a clock that jumps.

Run it: `python examples/virtual_time.py`
"""

from __future__ import annotations

import time

import anyio
import anyio.to_thread

from xai_realtime.virtual_time import run_virtual


def look_up_the_weather() -> str:
    """A synchronous tool: the clock of the call waits for its thread."""
    time.sleep(0.02)
    return "14 degrees and rain"


async def call() -> list[str]:
    """A caller who says something now and then, and an assistant who reminds after a minute of silence."""
    timeline: list[str] = []
    heard, speaking = anyio.create_memory_object_stream[str](0)

    def note(text: str) -> None:
        timeline.append(f"{anyio.current_time():6.1f} s  {text}")

    async def caller() -> None:
        async with heard:
            for pause_s, words in [(2.5, "Hello?"), (40.0, "What is the weather in London?"), (557.5, "Goodbye.")]:
                await anyio.sleep(pause_s)
                await heard.send(words)

    async with anyio.create_task_group() as tasks, speaking:
        tasks.start_soon(caller)
        reminders = 0
        while True:
            try:
                with anyio.fail_after(60):
                    words = await speaking.receive()
            except TimeoutError:
                reminders += 1
                if reminders == 1:
                    note("assistant: Are you still there?")
                continue
            note(f"caller:    {words}")
            if "weather" in words:
                note(f"assistant: {await anyio.to_thread.run_sync(look_up_the_weather)}")
            if words == "Goodbye.":
                break
    return timeline


def main() -> None:
    print(*run_virtual(call), sep="\n")
    assert run_virtual(call, backend="asyncio") == run_virtual(call), "the same call, the same times"


if __name__ == "__main__":
    main()
