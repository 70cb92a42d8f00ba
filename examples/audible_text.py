"""A telephone line made of tones: say a sentence, send it through G.711, interrupt the answer, see what was heard.

Run it: `python examples/audible_text.py` (needs numpy: `pip install 'xai-realtime[emulator]'`)
"""

from __future__ import annotations

from xai_realtime.audible import Hearer, duration_ms, hear, speak, text_until, words
from xai_realtime.audio import from_pcm16, silence, to_pcm16
from xai_realtime.vad import EnergyVad

RATE_HZ = 8_000
QUESTION = "What is the weather in London?"
ANSWER = "It is 14 degrees and it rains, so take a coat."


def over_the_telephone(pcm: bytes) -> bytes:
    """There and back through mu-law."""
    return to_pcm16(from_pcm16(pcm, "pcmu"), "pcmu")


def main() -> None:
    asked = silence(600, RATE_HZ) + speak(QUESTION, sample_rate_hz=RATE_HZ) + silence(900, RATE_HZ)
    line = over_the_telephone(asked)
    print(f"said     {QUESTION!r}, {duration_ms(QUESTION)} ms")
    for event in EnergyVad(RATE_HZ).feed(line):
        print(f"turn     {event}")
    print(f"heard    {hear(line, sample_rate_hz=RATE_HZ)!r}")

    played_ms = 1_500
    played = over_the_telephone(speak(ANSWER, sample_rate_hz=RATE_HZ)[: played_ms * RATE_HZ // 1000 * 2])
    hearer = Hearer(sample_rate_hz=RATE_HZ)
    hearer.feed(played)
    hearer.finish()
    print(f"answered {ANSWER!r}, interrupted after {played_ms} ms")
    print(f"heard    {hearer.text!r}")
    print(f"words    {', '.join(f'{word.text} {word.start_ms}-{word.end_ms}' for word in words(ANSWER)[:4])} ...")
    assert hearer.text == text_until(ANSWER, played_ms), "what was heard is what was played"


if __name__ == "__main__":
    main()
