"""Pages: what users named is escaped, and nothing refers to the outside."""

import re

import pytest
from jinja2 import UndefinedError

from fissura.html.pages import FOLDER, environment

EVIL = '<script>alert("1")</script>&\'x'


def page(**changes):
    given = {"title": "A", "about": ["b"], "sections": {"one": "One"}}
    return environment(FOLDER).get_template("base.html").render(given | changes)


def test_what_users_named_is_escaped():
    html = page(title=EVIL, about=[EVIL], sections={EVIL: EVIL})
    assert EVIL not in html
    assert html.count("<script>") == 1


def test_a_missing_variable_is_an_error():
    with pytest.raises(UndefinedError):
        environment(FOLDER).get_template("base.html").render(title="A")


def test_nothing_refers_to_the_outside():
    html = page()
    assert not re.search(r"url\(|@import|import\(|fetch\(|XMLHttp|https?:|WebSocket|Beacon", html)
    assert "default-src 'none'" in html
    assert html.index("Content-Security-Policy") < html.index("<style>")


@pytest.mark.parametrize("name", ["style.css", "script.js"])
def test_style_and_script_do_not_end_their_element(name):
    assert "</" not in (FOLDER / name).read_text(encoding="utf-8")
