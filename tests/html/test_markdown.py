"""Markdown becomes HTML that does no harm."""

import pytest

from fissura.html.markdown import markdown


def test_blocks():
    html = markdown(
        "---\nlicense: x\n---\n# A\n## B\ntext\nmore\n\n- one\n- two\n  goes on\n\n"
        "1. first\n\n| a | b |\n|---|--:|\n| 1 | `2` |\n\n```\n<x>\n```\n"
    )
    for expected in (
        "<h3>A</h3>",
        "<h4>B</h4>",
        "<p>text\nmore</p>",
        "<li>two\ngoes on</li>",
        "<ol>\n<li>first</li>",
        "<th>a</th>",
        '<td style="text-align:right"><code>2</code></td>',
        "<pre><code>&lt;x&gt;\n</code></pre>",
    ):
        assert expected in html
    assert "license" not in html


def test_links_and_images_become_text():
    html = markdown("See [the *site*](https://a.b) and ![pier](pier.png), <https://c.d>.")
    assert "<a" not in html
    assert "<img" not in html
    assert "the <em>site</em> (https://a.b)" in html
    assert "pier (pier.png)" in html


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "a <b onclick='x'>b</b>",
        "[x](javascript:alert(1))",
        "<!-- c -->",
        "![x](data:text/html;base64,PHNjcmlwdD4=)",
        "| <i>a</i> |\n|---|\n| <img src=x onerror=y> |",
    ],
)
def test_nothing_of_the_users_is_markup(text):
    html = markdown(text)
    for tag in ("<script", "<b", "<a", "<img", "<i>", "<!--"):
        assert tag not in html


def test_the_deepest_heading_is_the_sixth():
    assert markdown("##### deep", level=4) == "<h6>deep</h6>\n"


def test_names_with_underscores_stay():
    assert markdown("a max_width_mm b") == "<p>a max_width_mm b</p>\n"
