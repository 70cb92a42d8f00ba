"""What of the agent's audio has been played: by the clock, by reports, item by item, and at a stop."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xai_realtime.audio import AudioFormat, audio_format
from xai_realtime.errors import ConfigurationError
from xai_realtime.protocol.playback import REMEMBERED_ITEMS, Cut, Playback

PCM = audio_format("pcm", 24_000)
MS_BYTES = 48


def speaking(*chunks_ms: float, now_ms: float = 0, item: str = "item_1", playback: Playback | None = None) -> Playback:
    playback = playback or Playback(PCM)
    for chunk_ms in chunks_ms:
        playback.received(item, f"resp_{item}", int(chunk_ms * MS_BYTES), now_ms)
    return playback


class TestClock:
    def test_playback_follows_the_clock_when_audio_comes_in_a_burst(self) -> None:
        playback = speaking(100, 100, 100, now_ms=1000)
        assert [playback.heard_ms("item_1", now) for now in (1000, 1050, 1299.5, 1300, 2000)] == [
            0,
            50,
            299.5,
            300,
            300,
        ]
        assert playback.received_ms("item_1") == 300

    def test_playback_waits_in_gaps_when_audio_comes_late(self) -> None:
        playback = speaking(100, now_ms=0)
        assert playback.ends_at_ms(0) == 100
        assert not playback.is_playing(100)
        assert playback.ends_at_ms(150) is None
        speaking(100, now_ms=500, playback=playback)
        assert playback.ends_at_ms(500) == 600
        assert playback.heard_ms("item_1", 530) == 130

    @pytest.mark.parametrize("now_ms", [0.0, 0.1, 33.3, 1e9 + 0.1])
    def test_playback_hears_whole_milliseconds_exactly_when_times_are_crooked(self, now_ms: float) -> None:
        playback = speaking(*[20] * 50, now_ms=now_ms)
        assert [playback.flush(now_ms + 200)] == [(Cut("item_1", "resp_item_1", 200, 1000),)]

    def test_playback_never_goes_back_when_time_does(self) -> None:
        playback = speaking(100)
        assert playback.heard_ms("item_1", 60) == 60
        assert playback.heard_ms("item_1", 30) == 60

    def test_playback_keeps_items_apart_when_they_follow_each_other(self) -> None:
        playback = speaking(100)
        speaking(100, playback=playback, item="item_2")
        speaking(100, playback=playback, item="item_1")
        assert [playback.heard_ms(f"item_{number}", 250) for number in (1, 2, 3)] == [150, 100, 0]

    @pytest.mark.behaviour("bug-12")
    @pytest.mark.parametrize(
        ("format", "size_bytes"),
        [
            (audio_format("pcmu"), 1600),
            (audio_format("pcma"), 1600),
            (audio_format("pcm", 8_000), 3200),
            (audio_format("pcm", 22_050), 8820),
            (audio_format("pcm", 48_000), 19_200),
        ],
    )
    def test_playback_counts_bytes_by_format_when_audio_is_received(self, format: AudioFormat, size_bytes: int) -> None:
        playback = Playback(format)
        playback.received("item_1", "resp_1", size_bytes, 0)
        assert playback.received_ms("item_1") == 200
        assert playback.ends_at_ms(0) == 200
        assert playback.flush(150) == (Cut("item_1", "resp_1", 150, 200),)

    @pytest.mark.behaviour("bug-12")
    def test_playback_takes_the_stated_duration_when_the_audio_is_opus(self) -> None:
        playback = Playback(audio_format("opus"))
        for number in range(3):
            playback.received("item_1", "resp_1", 80 + number, 0, 20)
        assert playback.received_ms("item_1") == 60
        assert playback.heard_ms("item_1", 42.5) == 42.5

    def test_playback_prefers_the_stated_duration_when_the_size_tells_one_too(self) -> None:
        playback = Playback(PCM)
        playback.received("item_1", "resp_1", 2, 0, 500)
        assert playback.received_ms("item_1") == 500

    def test_playback_counts_a_sample_once_when_it_is_cut_between_chunks(self) -> None:
        playback = Playback(PCM)
        assert not playback.received("item_1", "resp_1", 1, 0)
        assert playback.received_ms("item_1") == 0
        assert playback.received("item_1", "resp_1", 3, 0)
        playback.received("item_1", "resp_1", 45, 0)
        assert not playback.received("item_1", "resp_1", 0, 0)
        assert playback.received_ms("item_1") == 24 / 24
        assert playback.received_ms("item_2") == 0


class TestMistakes:
    def test_playback_refuses_a_mode_that_is_none(self) -> None:
        mode: Any = "guess"
        with pytest.raises(ConfigurationError, match="'clock' or 'reported', not 'guess'"):
            Playback(PCM, mode=mode)

    @pytest.mark.parametrize("duration_ms", [-1, float("inf"), float("nan")])
    def test_playback_refuses_a_duration_that_is_none(self, duration_ms: float) -> None:
        with pytest.raises(ConfigurationError, match="0 ms or more"):
            Playback(PCM).received("item_1", "resp_1", 2, 0, duration_ms)

    def test_playback_refuses_opus_without_a_duration(self) -> None:
        playback = Playback(audio_format("opus"))
        with pytest.raises(ConfigurationError, match="state duration_ms"):
            playback.received("item_1", "resp_1", 80, 0)
        with pytest.raises(ConfigurationError, match="report ms"):
            playback.played(audio_bytes=80, now_ms=0)

    @pytest.mark.parametrize("report", [{}, {"audio_bytes": 2, "ms": 1}, {"audio_bytes": -2}, {"ms": -1}])
    def test_playback_refuses_a_report_that_states_no_progress(self, report: dict[str, Any]) -> None:
        playback = Playback(PCM)
        with pytest.raises(ConfigurationError):
            playback.played(**report, now_ms=0)
        assert playback.mode == "clock"


@pytest.mark.behaviour("playback-reports")
class TestReports:
    def test_playback_ignores_the_clock_when_a_speaker_reports(self) -> None:
        playback = Playback(PCM, mode="reported")
        speaking(100, playback=playback)
        assert playback.heard_ms("item_1", 5000) == 0
        assert playback.is_playing(5000)
        assert playback.ends_at_ms(5000) is None
        playback.played(40 * MS_BYTES, now_ms=5000)
        playback.played(ms=20, now_ms=5010)
        assert playback.heard_ms("item_1", 5020) == 60
        assert playback.flush(5020) == (Cut("item_1", "resp_item_1", 60, 100),)

    def test_playback_switches_for_good_when_the_first_report_comes(self) -> None:
        playback = speaking(100)
        playback.played(ms=20, now_ms=20)
        assert playback.mode == "reported"
        assert playback.heard_ms("item_1", 90) == 20
        playback.reset()
        assert playback.mode == "reported"

    def test_playback_does_not_go_back_when_the_first_report_is_behind_the_clock(self) -> None:
        playback = speaking(100)
        playback.played(ms=20, now_ms=70)
        assert playback.heard_ms("item_1", 80) == 70
        playback.played(ms=40, now_ms=80)
        assert playback.heard_ms("item_1", 80) == 70
        playback.played(ms=20, now_ms=90)
        assert playback.heard_ms("item_1", 90) == 80

    def test_playback_counts_the_first_report_from_the_start_of_speech_when_audio_came_with_a_gap(self) -> None:
        playback = speaking(20)
        speaking(500, now_ms=100, playback=playback)
        playback.played(ms=70, now_ms=150)
        playback.played(ms=10, now_ms=160)
        assert playback.heard_ms("item_1", 160) == 80

    @pytest.mark.behaviour("ask-9")
    def test_playback_ignores_what_a_report_says_beyond_the_audio_received(self) -> None:
        playback = Playback(PCM, mode="reported")
        speaking(100, playback=playback)
        playback.played(ms=5000, now_ms=0)
        speaking(100, playback=playback)
        assert playback.heard_ms("item_1", 0) == 100
        assert playback.flush(0) == (Cut("item_1", "resp_item_1", 100, 200),)

    def test_playback_ignores_a_report_that_is_late_after_a_stop(self) -> None:
        playback = Playback(PCM, mode="reported")
        speaking(100, playback=playback)
        playback.played(ms=30, now_ms=0)
        playback.flush(0)
        playback.played(ms=20, now_ms=0)
        speaking(100, playback=playback, item="item_2")
        assert playback.heard_ms("item_1", 0) == 30
        assert playback.heard_ms("item_2", 0) == 0

    def test_playback_counts_reports_of_the_next_audio_at_once_when_a_stop_came_before_the_reports_had_caught_up(
        self,
    ) -> None:
        playback = speaking(100)
        playback.played(ms=20, now_ms=70)
        playback.flush(80)
        speaking(100, playback=playback, now_ms=80, item="item_2")
        playback.played(ms=10, now_ms=90)
        assert playback.heard_ms("item_2", 90) == 10

    def test_playback_is_over_when_a_speaker_reports_whole_milliseconds_of_audio_that_is_no_whole_number(self) -> None:
        playback = Playback(audio_format("pcm", 22_050), mode="reported")
        playback.received("item_1", "resp_1", 2 * 451, 0)
        playback.item_done("item_1")
        playback.played(ms=19, now_ms=0)
        assert playback.is_playing(0)
        playback.played(ms=1, now_ms=0)
        assert playback.finished(0) == ("item_1",)
        playback.received("item_2", "resp_2", 2 * 22_050, 0)
        playback.played(ms=0.4, now_ms=0)
        assert playback.heard_ms("item_2", 0) == 0
        playback.played(ms=100, now_ms=0)
        assert 99 < playback.heard_ms("item_2", 0) <= 100

    def test_playback_counts_every_byte_when_reports_are_cut_anywhere(self) -> None:
        playback = Playback(PCM, mode="reported")
        speaking(10, playback=playback)
        playback.item_done("item_1")
        for _ in range(479):
            playback.played(1, now_ms=0)
        assert playback.finished(0) == ()
        playback.played(1, now_ms=0)
        assert playback.finished(0) == ("item_1",)


@pytest.mark.behaviour("playback-items")
class TestItems:
    def test_item_is_finished_once_when_it_is_done_and_played(self) -> None:
        playback = speaking(100)
        assert playback.finished(100) == ()
        playback.item_done("item_1")
        assert playback.finished(100) == ("item_1",)
        playback.item_done("item_1")
        assert playback.finished(200) == ()

    def test_items_are_finished_in_order_when_they_are_done_before_they_are_played(self) -> None:
        playback = speaking(100)
        speaking(100, playback=playback, item="item_2")
        playback.item_done("item_1")
        playback.item_done("item_2")
        assert playback.finished(50) == ()
        assert playback.finished(250) == ("item_1", "item_2")

    def test_item_goes_on_when_its_audio_comes_after_a_gap(self) -> None:
        playback = speaking(100)
        playback.item_done("item_9")
        assert playback.finished(150) == ()
        speaking(100, playback=playback, now_ms=200)
        playback.item_done("item_1")
        assert playback.finished(299) == ()
        assert playback.finished(300) == ("item_1",)

    def test_items_of_a_response_are_done_when_it_is(self) -> None:
        playback = speaking(100)
        speaking(100, playback=playback, item="item_2")
        playback.response_done("resp_item_2")
        assert playback.finished(500) == ("item_2",)
        playback.response_done("resp_item_1")
        assert playback.finished(500) == ("item_1",)

    def test_item_times_are_kept_for_the_last_items_only(self) -> None:
        playback = Playback(PCM)
        count = REMEMBERED_ITEMS + 10
        for number in range(count):
            speaking(10, playback=playback, now_ms=number * 10, item=f"item_{number}")
        assert not playback.is_playing(count * 10)
        known = [number for number in range(count) if playback.received_ms(f"item_{number}")]
        assert known == list(range(10, count))

    def test_items_without_samples_are_forgotten_too(self) -> None:
        playback = Playback(PCM)
        for number in range(3 * REMEMBERED_ITEMS):
            playback.received(f"item_{number}", "resp_1", 1, 0)
        assert len(playback._past) == REMEMBERED_ITEMS
        assert not playback.is_speaking


class TestSpeech:
    def test_agent_starts_to_speak_once_when_audio_of_one_reply_comes_with_gaps(self) -> None:
        playback = Playback(PCM)
        assert playback.received("item_1", "resp_1", 100 * MS_BYTES, 0)
        assert not playback.received("item_1", "resp_1", 100 * MS_BYTES, 50)
        assert not playback.speech_ended(400)
        assert not playback.received("item_2", "resp_1", 100 * MS_BYTES, 400)
        assert playback.is_speaking

    @pytest.mark.behaviour("bug-40")
    def test_agent_speaks_until_its_audio_is_played_when_its_response_is_done_before(self) -> None:
        playback = speaking(1000)
        playback.item_done("item_1")
        playback.response_done("resp_item_1")
        assert playback.ends_at_ms(10) == 1000
        assert [playback.speech_ended(now) for now in (10, 999.9, 1000, 1001)] == [False, False, True, False]
        assert not playback.is_speaking

    def test_agent_speaks_until_its_response_is_done_when_its_audio_is_played_before(self) -> None:
        playback = speaking(100)
        assert not playback.speech_ended(200)
        playback.response_done("resp_item_1")
        assert playback.speech_ended(200)

    def test_agent_goes_on_speaking_when_the_next_reply_comes_before_the_first_is_played(self) -> None:
        playback = speaking(100)
        playback.response_done("resp_item_1")
        assert not playback.received("item_2", "resp_2", 100 * MS_BYTES, 99)
        assert not playback.speech_ended(300)
        playback.response_done("resp_2")
        assert playback.speech_ended(300)
        assert playback.received("item_3", "resp_3", 100 * MS_BYTES, 300)

    def test_agent_starts_again_when_another_reply_comes_after_silence_that_nobody_asked_about(self) -> None:
        playback = speaking(100)
        assert playback.received("item_2", "resp_2", MS_BYTES, 150)
        playback.response_done("resp_2")
        assert playback.speech_ended(151)

    def test_agent_stops_when_late_audio_of_a_response_that_is_over_is_played(self) -> None:
        playback = speaking(100)
        playback.response_done("resp_item_1")
        assert playback.speech_ended(100)
        assert playback.received("item_1", "resp_item_1", MS_BYTES, 110)
        assert playback.speech_ended(111)

    def test_agent_is_silent_at_first_and_after_a_stop_and_a_reset(self) -> None:
        playback = Playback(PCM)
        assert not playback.speech_ended(0)
        speaking(100, playback=playback)
        playback.flush(10)
        assert not playback.is_speaking
        assert not playback.speech_ended(500)
        assert playback.received("item_2", "resp_item_1", MS_BYTES, 500)
        playback.reset()
        assert not playback.is_speaking
        assert playback.flush(0) == ()
        assert playback.received("item_2", "resp_item_1", MS_BYTES, 0)
        assert playback.heard_ms("item_2", 1) == 1


class TestStop:
    def test_stop_cuts_every_item_that_was_not_heard_to_its_end(self) -> None:
        playback = speaking(100)
        speaking(100.5, playback=playback, item="item_2")
        speaking(50, playback=playback, item="item_3")
        assert playback.flush(130.9) == (
            Cut("item_2", "resp_item_2", 30, 100),
            Cut("item_3", "resp_item_3", 0, 50),
        )
        assert not playback.is_playing(131)
        assert playback.flush(131) == ()
        assert playback.heard_ms("item_2", 500) == pytest.approx(30.9, abs=0.05)
        assert playback.received_ms("item_2") == 100.5

    @pytest.mark.behaviour("ask-10")
    @pytest.mark.parametrize("now_ms", [100, 101, 5000])
    def test_stop_cuts_nothing_when_everything_was_played(self, now_ms: float) -> None:
        assert speaking(100).flush(now_ms) == ()

    @pytest.mark.behaviour("ask-10")
    def test_stop_cuts_nothing_when_nothing_was_received(self) -> None:
        assert Playback(PCM).flush(0) == ()

    @pytest.mark.behaviour("ask-10")
    def test_stop_finishes_an_item_when_less_than_a_millisecond_of_it_is_missing(self) -> None:
        playback = speaking(100.5)
        playback.item_done("item_1")
        assert playback.flush(100.2) == ()
        assert playback.finished(100.2) == ("item_1",)

    def test_stop_does_not_finish_what_it_cut(self) -> None:
        playback = speaking(100)
        playback.flush(50)
        playback.item_done("item_1")
        playback.response_done("resp_item_1")
        assert playback.finished(500) == ()

    def test_audio_after_a_stop_plays_at_once(self) -> None:
        playback = speaking(1000)
        playback.flush(100)
        speaking(100, playback=playback, now_ms=150, item="item_2")
        assert playback.ends_at_ms(150) == 250
        assert playback.flush(200) == (Cut("item_2", "resp_item_2", 50, 100),)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["received", "received", "clock", "bytes", "ms", "done", "flush"]),
        st.integers(0, 4000),
        st.integers(0, 3),
        st.floats(-5, 120),
    ),
    max_size=30,
)
FORMATS = st.sampled_from([PCM, audio_format("pcm", 22_050), audio_format("pcmu")])


@pytest.mark.behaviour("ask-9")
@settings(max_examples=120, deadline=None)
@given(STEPS, FORMATS, st.sampled_from(["clock", "reported"]))
def test_heard_time_grows_and_stays_within_what_was_received_for_any_course(
    steps: list[tuple[str, int, int, float]], format: AudioFormat, mode: Any
) -> None:
    playback = Playback(format, mode=mode)
    items = [f"item_{number}" for number in range(4)]
    now_ms, before, finished, cut = 1000.0, [0.0] * 4, list[str](), set[str]()
    for kind, size, number, later_ms in steps:
        now_ms += later_ms
        if kind == "received":
            playback.received(items[number], f"resp_{number}", size, now_ms)
        elif kind == "bytes":
            playback.played(size, now_ms=now_ms)
        elif kind == "ms":
            playback.played(ms=size / 40, now_ms=now_ms)
        elif kind == "done":
            playback.item_done(items[number])
        elif kind == "flush":
            received = {item: playback.received_ms(item) for item in items}
            cuts = playback.flush(now_ms)
            assert all(0 <= one.heard_ms < one.received_ms <= received[one.item_id] for one in cuts)
            assert all(one.heard_ms <= playback.heard_ms(one.item_id, now_ms) for one in cuts)
            cut |= {one.item_id for one in cuts} - set(finished) - set(playback._finished)
            assert not playback.is_playing(now_ms)
            assert playback.flush(now_ms) == ()
        heard = [playback.heard_ms(item, now_ms) for item in items]
        assert all(new >= old for new, old in zip(heard, before, strict=True))
        assert all(ms <= playback.received_ms(item) for ms, item in zip(heard, items, strict=True))
        end_ms = playback.ends_at_ms(now_ms)
        assert (end_ms is not None) == (playback.mode == "clock" and playback.is_playing(now_ms))
        if end_ms is None and not playback.is_playing(now_ms):
            assert not playback._spans
            assert not playback._waiting
        before = heard
        finished += playback.finished(now_ms)
    assert len(set(finished)) == len(finished)
    assert not cut & set(finished)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 300), st.integers(1, 200)), min_size=1, max_size=20), st.floats(0, 3000))
def test_playback_is_that_of_a_speaker_without_gaps_for_any_arrival(
    arrivals: list[tuple[float, int]], asked_ms: float
) -> None:
    playback, now_ms, head_ms, received_ms = Playback(PCM), 0.0, 0.0, 0
    for later_ms, chunk_ms in arrivals:
        now_ms += later_ms
        playback.received("item_1", "resp_1", chunk_ms * MS_BYTES, now_ms)
        head_ms = max(head_ms, now_ms) + chunk_ms
        received_ms += chunk_ms
    now_ms += asked_ms
    expected = received_ms - max(0.0, head_ms - now_ms)
    assert playback.heard_ms("item_1", now_ms) == pytest.approx(expected, abs=0.05)
