"""A telephone line: G.711 both ways, 160 bytes every 20 ms, as a phone provider's media stream has it.

Run it: `python examples/phone_audio.py` (the emulator is the agent, in virtual time). With `--live` and XAI_API_KEY set
Grok greets the caller, and what the caller hears is written to `phone.wav`.
"""

from __future__ import annotations

import sys
import wave

import anyio

from xai_realtime import AsyncClient, AudioOutput, RealtimeSession, SpeechStopped, Transcript, run_virtual
from xai_realtime.audible import hear, speak
from xai_realtime.audio import Framer, audio_format, from_pcm16, silence, to_pcm16
from xai_realtime.emulator import Emulator

LIVE = "--live" in sys.argv[1:]
PHONE = audio_format("pcmu")
RATE_HZ = PHONE.rate_hz


class Caller:
    """The end of the line: packets of 20 ms in mu-law, there and back."""

    def __init__(self) -> None:
        self._packets = Framer(PHONE, frame_ms=20)
        self.heard: list[bytes] = []

    async def speak(self, session: RealtimeSession, text: str) -> None:
        """Say something, and be silent after it."""
        speech = b"" if LIVE else speak(text, sample_rate_hz=RATE_HZ)
        line = from_pcm16(silence(200, RATE_HZ) + speech + silence(1_500, RATE_HZ), "pcmu")
        for at in range(0, len(line), 160):
            await session.send_audio(line[at : at + 160])
            await anyio.sleep(0.02)

    def hear(self, audio: bytes) -> None:
        """The agent's audio, in pieces of any length, becomes packets."""
        self.heard += self._packets.push(audio)

    def pcm(self) -> bytes:
        """All that was heard."""
        return to_pcm16(b"".join(self.heard) + (self._packets.flush() or b""), "pcmu")


async def main() -> None:
    caller = Caller()
    transport = None if LIVE else Emulator(seed=1).transport()
    async with AsyncClient(transport=transport) as client, anyio.create_task_group() as tasks:
        async with client.realtime.session(input="pcmu", output="pcmu") as session:
            await session.say("Pizza Napoli, good evening.")
            turns = 0
            async for event in session:
                match event:
                    case AudioOutput():
                        caller.hear(event.audio)
                    case Transcript():
                        print(f"{event.role}: {event.text}")
                    case SpeechStopped(who="agent"):
                        turns += 1
                        if turns == 2 or LIVE:
                            break
                        tasks.start_soon(caller.speak, session, "Two margheritas please.")
        tasks.cancel_scope.cancel()
    pcm = caller.pcm()
    print(f"{len(caller.heard)} packets of 160 bytes, {len(pcm) / 2 / RATE_HZ:.1f} s")
    if LIVE:
        with wave.open("phone.wav", "wb") as file:
            file.setparams((1, 2, RATE_HZ, 0, "NONE", "not compressed"))
            file.writeframes(pcm)
    else:
        print(f"the caller heard: {hear(pcm, sample_rate_hz=RATE_HZ)!r}")


if __name__ == "__main__":
    anyio.run(main) if LIVE else run_virtual(main)
