"""Audible text out of a stream of PCM. In: PCM in any cuts. Out: words, utterances, text. Imports: stdlib, 0."""

from __future__ import annotations

from typing import Final, NamedTuple

from xai_realtime.audible._ears import Ears
from xai_realtime.audible._reader import Packet, Reader, nibbles_to_bytes
from xai_realtime.audible._speech import CRC_SYMBOLS, FIRST, LAST, NOTHING, STARTS, SYMBOL_MS, Word, checked_rate
from xai_realtime.audio import Audio
from xai_realtime.errors import LocalProtocolError

__all__ = ["DAMAGE", "Hearer", "Utterance", "hear"]

DAMAGE: Final = "\ufffd"
"""Heard in place of tones that are no whole word, such as lost, doubled or misplaced pieces of speech."""


class Utterance(NamedTuple):
    """What one `speak` said, as far as it was heard; `is_complete` when its last word was among it."""

    text: str
    start_ms: float
    end_ms: float
    is_complete: bool


def hear(pcm: Audio, *, sample_rate_hz: int = 24_000) -> str | None:
    """The audible text in mono PCM, utterances joined by a space; None when there is none, as in noise or a voice.

    Text is given word by word, each with its CRC right. Tones beside words that are no whole word are heard as
    `DAMAGE`; a word that silence or the end of the audio cuts off is left out. Raises ConfigurationError when the extra
    `emulator` (numpy) is not installed, and for a rate that is not in `audio.PCM_RATES_HZ`.
    """
    hearer = Hearer(sample_rate_hz=sample_rate_hz)
    hearer.feed(pcm)
    hearer.finish()
    return hearer.text


class Hearer:
    """Listens to a stream of mono PCM in chunks of any size, cut at any byte, and hears audible text as it comes.

    The same audio gives the same text however it is cut. Losses of less than about 5 ms go unnoticed; a loss within a
    word costs that word. Raises ConfigurationError as `hear` does.
    """

    def __init__(self, *, sample_rate_hz: int = 24_000) -> None:
        self._ears = Ears(checked_rate(sample_rate_hz))
        self._reader = Reader(self._ears.symbol_hops)
        self._rate_hz = sample_rate_hz
        self._fed_bytes = 0
        self._utterances: list[Utterance] = []
        self._next = NOTHING
        self._is_finished = False

    @property
    def audio_ms(self) -> float:
        """Milliseconds of audio fed so far."""
        return self._fed_bytes // 2 * 1000 / self._rate_hz

    @property
    def utterances(self) -> tuple[Utterance, ...]:
        """What was heard so far, an entry for each `speak` on the other side; the last one may still grow."""
        heard = list(self._utterances)
        if heard and self._reader.stray.is_damage(at_end=True):
            heard[-1] = heard[-1]._replace(text=heard[-1].text + DAMAGE)
        return tuple(heard)

    @property
    def text(self) -> str | None:
        """The whole words heard so far, utterances joined by a space; None when there were none."""
        return " ".join(utterance.text for utterance in self.utterances) or None

    @property
    def partial(self) -> str | None:
        """`text` and the characters heard of the word that is sounding now, which no CRC has confirmed yet."""
        begun = self._reader.begun
        if begun:
            start, *nibbles = begun
            known = len(nibbles) - CRC_SYMBOLS
            said = nibbles_to_bytes(nibbles[: max(0, known)]).decode("utf-8", "ignore")
            if said:
                text = self.text or ""
                return f"{text} {said}" if start == FIRST and text else text + said
        return self.text

    def feed(self, pcm: Audio) -> tuple[Word, ...]:
        """Listen to a chunk; returns the words that became whole by it, and `DAMAGE` for what was lost before them.

        Their times count from the first byte and are right within 3 ms.
        Raises LocalProtocolError after `finish`.
        """
        if self._is_finished:
            raise LocalProtocolError("this hearer is finished; make another one for other audio")
        self._fed_bytes += len(memoryview(pcm).cast("B"))
        return self._taken(pcm, is_end=False)

    def finish(self) -> tuple[Word, ...]:
        """Say that the audio is over; returns the words that became whole by that. Doing it twice changes nothing."""
        if self._is_finished:
            return ()
        self._is_finished = True
        return self._taken(bytes(2 * self._ears.hop_bytes), is_end=True)

    def _taken(self, pcm: Audio, *, is_end: bool) -> tuple[Word, ...]:
        found: list[Word] = []
        blocks = list(self._ears.feed(pcm))
        for number, block in enumerate(blocks):
            is_last = is_end and number + 1 == len(blocks)
            for packet in self._reader.feed(block, is_end=is_last):
                found += self._word(packet)
        return tuple(found)

    def _word(self, packet: Packet) -> list[Word]:
        hop_ms = SYMBOL_MS / self._ears.symbol_hops
        start_ms, end_ms = max(0.0, packet.start_hop * hop_ms), packet.end_hop * hop_ms
        heard = self._utterances
        is_first = packet.start == FIRST
        mark = DAMAGE if packet.after_damage or not (is_first or packet.start == self._next) else ""
        found = [Word(mark, heard[-1].end_ms if heard else 0.0, start_ms)] if mark else []
        if packet.body.strip():
            found.append(Word(packet.body.strip(), start_ms, end_ms))
        if is_first and heard:
            heard[-1] = heard[-1]._replace(text=heard[-1].text + mark)
            mark = ""
        if is_first or self._next == NOTHING:
            heard.append(Utterance("", start_ms, end_ms, False))
        is_last = packet.end == LAST
        text = heard[-1].text + mark + packet.body
        heard[-1] = Utterance(text, heard[-1].start_ms, end_ms, is_last)
        number = 0 if is_first else packet.start - STARTS[0]
        self._next = NOTHING if is_last else STARTS[(number + 1) % 4]
        return found
