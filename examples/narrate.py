"""Narrate a text into a WAV file, print when each word is spoken, and write subtitles.

The other side is the emulator in this process; with `--live` and a key it is Grok.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import anyio

from xai_realtime import AsyncClient, speech_tags
from xai_realtime.audible import hear
from xai_realtime.emulator import Emulator

TEXT = (
    f"Ships leave on every quiet tide. {speech_tags.pause()} "
    f"{speech_tags.whisper('Only the harbour master knows why.')} He never tells."
)


async def narrate(client: AsyncClient, folder: Path) -> Path:
    """Speak the text into a file and print what is spoken when."""
    path = folder / "tide.wav"
    result = await client.tts.synthesize(TEXT, to=path, voice="leo", timestamps=True)
    for word in result.words:
        print(f"{word.start_s or 0:6.2f} s  {word.text}")
    (folder / "tide.srt").write_text(result.srt(), encoding="utf-8")
    print(f"{result.size_bytes} bytes, {(result.duration_ms or 0) / 1000:.2f} s of speech")
    return path


async def main() -> None:
    is_live = "--live" in sys.argv
    with tempfile.TemporaryDirectory() as name:
        folder = Path.cwd() if is_live else Path(name)
        async with AsyncClient() if is_live else AsyncClient(transport=Emulator(seed=1).transport()) as client:
            path = await narrate(client, folder)
        if not is_live:
            print("heard:", hear(path.read_bytes()[44:]))


if __name__ == "__main__":
    anyio.run(main)
