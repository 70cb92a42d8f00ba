"""The demo on the screen: the call as it happens, its recording replayed, the two compared. Imports: rooms 0-7."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import anyio

from xai_realtime.cassette.tape import load_cassette
from xai_realtime.cli import reports
from xai_realtime.cli.playing import play_tape
from xai_realtime.cli.screen import UNBROKEN, Screen
from xai_realtime.digest import digest
from xai_realtime.player import Moment

__all__ = ["hold_and_show"]


def hold_and_show(screen: Screen, keep: Path | None, *, as_json: bool) -> bool:
    """Hold the call, replay its recording in virtual time; True when both are the same conversation.

    Raises ConfigurationError without the extra `emulator`.
    """
    from xai_realtime.cli.calling import hold_demo_call

    started = time.monotonic()

    def tell(who: str, what: str) -> None:
        if not as_json:
            column = f"{time.monotonic() - started:5.1f}  {who:<7}  ".replace(" ", UNBROKEN)
            screen.say(f"{column}{what}")

    with ExitStack() as stack:
        path = keep or Path(stack.enter_context(tempfile.TemporaryDirectory())) / "demo.jsonl"
        if not as_json:
            screen.say("A voice call with the emulator of Grok, over a real socket on this machine.", "bold")
            screen.say("No key, no network. Speech is audible text: tones that stand for letters. Ten seconds, please.")
            screen.say()
        call = anyio.run(partial(hold_demo_call, path, tell))
        cassette = load_cassette(call.path)
        moments: list[Moment] = []
        playback = play_tape(cassette, moments, clock="virtual")
        live = digest([call.conversation])
        if as_json:
            agreement = {"live_digest": live, "digests_agree": live == playback.digest, "heard": call.heard}
            screen.json(playback.to_json() | agreement)
        else:
            screen.say()
            screen.say("The recording of it, replayed in virtual time through the typed client:", "bold")
            screen.say()
            compared = ("live", f"{live}, {'the same' if live == playback.digest else 'ANOTHER'} conversation")
            reports.print_playback(screen, playback, moments, "clock virtual, asyncio", compared)
            screen.say()
            where = f"The tape: {call.path}. " if keep else ""
            screen.say(f"{where}Call it yourself: xai-realtime emulate. In Python: examples/voice_turn.py.")
    return live == playback.digest
