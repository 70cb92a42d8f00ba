"""What is read off docstrings: the text, and the descriptions of parameters in three styles."""

from __future__ import annotations

import pytest

from xai_realtime.tools._docstring import read_docstring

GOOGLE = """Weather of a place.

    Two sentences. More.

    Args:
        city (str, optional): Name of the city
            in English.

        days: How many days: 1 to 7.
        *extra: Ignored.

    Returns:
        The weather.
    """

NUMPY = """Weather of a place.

    Two sentences. More.

    Parameters
    ----------
    city : str, optional
        Name of the city
        in English.
    days, nights : int
        How many days: 1 to 7.

    Returns
    -------
    str
        The weather.
    """

SPHINX = """Weather of a place.

    Two sentences. More.

    :param str city: Name of the city
        in English.
    :type city: str,
        always
    :param days: How many days: 1 to 7.
    :returns: The weather.
    """


@pytest.mark.parametrize("docstring", [GOOGLE, NUMPY, SPHINX], ids=["google", "numpy", "sphinx"])
def test_docstring_gives_the_description_of_each_parameter_in_every_style(docstring: str) -> None:
    _, described = read_docstring(docstring)
    assert described["city"] == "Name of the city in English."
    assert described["days"] == "How many days: 1 to 7."


@pytest.mark.parametrize(
    ("docstring", "rest"),
    [
        (GOOGLE, "Returns:\n    The weather."),
        (NUMPY, "Returns\n-------\nstr\n    The weather."),
        (SPHINX, ":returns: The weather."),
    ],
    ids=["google", "numpy", "sphinx"],
)
def test_docstring_text_keeps_all_but_the_parameters(docstring: str, rest: str) -> None:
    text, _ = read_docstring(docstring)
    assert text == f"Weather of a place.\n\nTwo sentences. More.\n\n{rest}"


def test_numpy_names_that_share_a_description_both_have_it() -> None:
    assert read_docstring(NUMPY)[1]["nights"] == "How many days: 1 to 7."


def test_google_description_on_the_next_line_belongs_to_the_parameter() -> None:
    assert read_docstring("Do.\n\nArgs:\n  a:\n    Said below.\n  b (dict[str, tuple(int)]): Said beside.\n") == (
        "Do.",
        {"a": "Said below.", "b": "Said beside."},
    )


def test_google_section_ends_at_the_first_line_that_is_not_indented() -> None:
    assert read_docstring("Do.\nArgs:\n    a: One.\nAnd more.") == ("Do.\n\nAnd more.", {"a": "One."})


@pytest.mark.parametrize("docstring", [None, "", "  \n  "])
def test_docstring_that_says_nothing_gives_nothing(docstring: str | None) -> None:
    assert read_docstring(docstring) == ("", {})


@pytest.mark.parametrize("text", ["Do: it.", "Do it.\n\nArgs:\nnone at all", "Do it.\n\nNotes\n-----\nOn it."])
def test_docstring_without_parameters_stays_as_it_is(text: str) -> None:
    assert read_docstring(text) == (text, {})


def test_parameter_without_a_description_is_left_out() -> None:
    assert read_docstring("Do.\n\n:param a:\n:param b: Said.\n") == ("Do.", {"b": "Said."})
