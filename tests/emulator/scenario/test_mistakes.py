"""A bad scenario file: the error names file, line and field."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xai_realtime import ConfigurationError
from xai_realtime.emulator import load_scenario
from xai_realtime.emulator._places import places

HEAD = '[[turn]]\nwhen = "."\nsay = "x"\n'


def turn(*lines: str) -> str:
    return "\n".join(['# a comment with "quotes"', "[[turn]]", 'when = "(?P<a>.)"', *lines])


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("x = ", ":1: ", "no TOML: Invalid value"),
        ('[hearing]\nfallback = "x\n', ":2: ", "no TOML"),
        ("[[turn]]\nwhen = [1,\n", ":2: ", "no TOML"),
        ('x = "' + "\\" + 'q"', ":1: ", "no TOML"),
        ("", ": ", "there is no [[turn]]"),
        ("[turn]\nwhen = '.'", ":1: turn: ", "[[turn]]"),
        ("turn = [1]", ":1: turn: ", "[[turn]]"),
        ("[heering]\n" + HEAD, ":1: heering: ", "did you mean `hearing`?"),
        ("zzz = 1\n" + HEAD, ":1: zzz: ", "allowed are chat, emulator, hearing, limits, speech, turn"),
        ("[hearing]\nfallback = 3\n" + HEAD, ":2: hearing.fallback: ", "is a number; a text is allowed"),
        ("hearing = 3\n" + HEAD, ":1: hearing: ", "a table is allowed"),
        ("[limits]\n\nmax_duration_s = 0\n" + HEAD, ":3: limits.max_duration_s: ", "0; a number of seconds above 0"),
        ("[limits]\nidle_timeout_s = true\n" + HEAD, ":2: limits.idle_timeout_s: ", "True; a number"),
        ("[limits]\nconcurrent_sessions = 1.5\n" + HEAD, ":2: limits.concurrent_sessions: ", "a whole number from 1"),
        ("[emulator]\nanswers_commits = 1\n" + HEAD, ":2: emulator.answers_commits: ", "true or false is allowed"),
        ("[emulator]\nanswers_commit = true\n" + HEAD, ":2: emulator.answers_commit: ", "did you mean"),
        ("emulator = 1\n" + HEAD, ":1: emulator: ", "a table is allowed"),
        ("[speech]\nstartup_ms = -1\n" + HEAD, ":2: speech.startup_ms: ", "is -1; allowed are whole numbers from 0"),
        ("[speech]\nodd_cut = true\n" + HEAD, ":2: speech.odd_cut: ", "did you mean `odd_cuts`?"),
        ("[speech]\nspeakers = ['x']\n" + HEAD, ":2: speech.speakers: ", "allowed are tuples of whole numbers"),
        ("[speech]\nrefuse = 503\n" + HEAD, ":2: speech.refuse: ", "[[speech.refuse]]"),
        ("[[speech.refuse]]\ntimes = 2\n" + HEAD, ":1: speech.refuse[0].status: ", "the HTTP status is missing"),
        ("[[speech.refuse]]\nstatus = 200\n" + HEAD, ":2: speech.refuse[0].status: ", "is 200; allowed are"),
        ('[[turn]]\nsay = "x"', ":1: turn 1: ", "it has no `when`"),
        ('[[turn]]\nwhen = "("\nsay = "x"', ":2: turn 1, when: ", "is no regular expression: missing )"),
        ("[[turn]]\nwhen = 3", ":2: turn 1, when: ", "a text is allowed"),
        (HEAD + turn('wehn = "x"'), ":7: turn 2, wehn: ", "did you mean `when`?"),
        (turn(), ":2: turn 1: ", "it says nothing"),
        (turn('say = """', "one", '{b}"""'), ":4: turn 1, say: ", "{b} is no group of the pattern; known are {a}"),
        (turn('call = { name = "f", arguments = { x = ["{c}"] } }'), ":4: turn 1, call.arguments.x[0]: ", "{c} is no"),
        (turn('say = "{output}"'), ":4: turn 1, say: ", "{output} is no group"),
        (turn('call = "f"'), ":4: turn 1, call: ", "is a text; write {"),
        (turn('call = { arguments = "x" }'), ":4: turn 1, call.name: ", "the name of the function is missing"),
        (turn('call = { name = "f", args = 1 }'), ":4: turn 1, call.args: ", "there is no such field"),
        (turn('call = { name = "f", arguments = 3 }'), ":4: turn 1, call.arguments: ", "a table, or a text"),
        (turn("call = { name = 'f', arguments = { t = 07:32:00 } }"), ":4: turn 1, call.arguments: ", "JSON cannot"),
        (turn('calls = "f"'), ":4: turn 1, calls: ", "a list of calls"),
        (turn("calls = [", "  { name = 'f' },", "  { name = 3 },", "]"), ":4: turn 1, calls[1].name: ", "a text"),
        (turn("call = { name = 'f' }", "calls = []"), ":4: turn 1, call: ", "not both"),
        (turn("[turn.call]", 'name = "f"', "[turn.call.arguments]", "x = nan"), ":6: turn 1, call.arguments: ", "nan"),
        (turn("[turn.call]", "name = 3"), ":5: turn 1, call.name: ", "a text is allowed"),
        (turn('then = "x"', 'say = "y"'), ":4: turn 1, then: ", "there is no `call`"),
        (turn('say = "x"', "delay_ms = -1"), ":5: turn 1, delay_ms: ", "is -1; a number from 0 to 3.6e+06"),
        (turn('say = "x"', "fail = 1"), ":5: turn 1, fail: ", "true or false"),
        (turn('say = "x"', "fail = true", "incomplete = true"), ":6: turn 1, incomplete: ", "cannot both"),
        (turn("silent = true", 'say = "x"'), ":5: turn 1, say: ", "because of `silent`"),
        (turn("silent = true", 'error = { message = "x" }'), ":4: turn 1, silent: ", "an error is not silent"),
        (turn('error = { code = "x" }'), ":4: turn 1, error.message: ", "the message is missing"),
        (turn('error = { message = "x" }', 'say = "y"'), ":5: turn 1, say: ", "because of `error`"),
        (turn("error = 1979-05-27"), ":4: turn 1, error: ", "is a date or time; a table is allowed"),
        (turn('say = "x"', "drop = { code = 1005 }"), ":5: turn 1, drop.code: ", "is 1005; a close code"),
        (turn('say = "x"', "drop = { after_ms = 'x' }"), ":5: turn 1, drop.after_ms: ", "a number from 0"),
        (turn('events = "x"'), ":4: turn 1, events: ", "a list of events"),
        (turn("events = [{ item_id = 'x' }]"), ":4: turn 1, events[0]: ", "an event is a table with a type"),
        (turn("[[turn.events]]", "type = 'x'", "[[turn.events]]", "type = 3"), ":6: turn 1, events[1]: ", "a type"),
    ],
)
@pytest.mark.behaviour("emulator-scenario-mistakes")
def test_bad_scenario_is_told_with_file_line_and_field(tmp_path: Path, text: str, place: str, said: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_scenario(path)
    message = str(caught.value)
    assert message.startswith(f"{path}{place}")
    assert said in message


@pytest.mark.behaviour("emulator-scenario-mistakes")
def test_scenario_that_cannot_be_read_is_told_with_its_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.toml: No such file"):
        load_scenario(tmp_path / "none.toml")
    with pytest.raises(ConfigurationError, match="directory"):
        load_scenario(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b"# \xe9\n\n# \xff")
    with pytest.raises(ConfigurationError, match=r"latin\.toml:1: the file is not UTF-8"):
        load_scenario(tmp_path / "latin.toml")
    (tmp_path / "big.toml").write_bytes(b"#" * (5 * 1024 * 1024))
    with pytest.raises(ConfigurationError, match="larger than"):
        load_scenario(tmp_path / "big.toml")
    (tmp_path / "deep.toml").write_text("x = " + "[" * 100_000)
    with pytest.raises(ConfigurationError, match=r"deep\.toml"):
        load_scenario(tmp_path / "deep.toml")


def test_places_find_headers_and_keys_beside_texts_that_look_like_them() -> None:
    text = (
        'a = """\n[[b]]\nc = 1\n"""\n'  # 1 to 4
        "[\"x y\".'z']  # [no]\n"  # 5
        "k.l = [\n  # m = 1\n  ']', [1,\n 2]]\n"  # 6 to 9
        "[[t]]\nu = '''\n[[t]]'''\n  [[ t ]]\n[t.v]\nw = { x = 1 }\n"  # 10 to 15
    )
    assert places(text) == {
        ("a",): 1,
        ("x y", "z"): 5,
        ("x y", "z", "k"): 6,
        ("x y", "z", "k", "l"): 6,
        ("t", 0): 10,
        ("t", 0, "u"): 11,
        ("t", 1): 13,
        ("t", 1, "v"): 14,
        ("t", 1, "v", "w"): 15,
    }


@given(st.text(alphabet="[]\"'=#\\\n ab.{}", max_size=60))
def test_places_end_on_any_text(text: str) -> None:
    assert all(1 <= line <= text.count("\n") + 1 for line in places(text).values())
