"""What heads a filed report, and its PDF."""

import pytest

from fissura.errors import InputError
from fissura.inspection.report import pdf
from fissura.inspection.report.heading import Heading, read_heading
from fissura.inspection.report.page import About, report

FILED = """\
title: Bridge 12, main inspection
object: Bridge 12 over <the river>
inspector: A. Muster
client: City
date: 2026-11-25
contract no: 4711
date_form: de
notes: [Wet after rain., North side by rope.]
signatures: [A. Muster, Reviewer]
"""


def written(tmp_path, text):
    path = tmp_path / "report.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_heading_is_on_the_page(tmp_path, write, fake_photo):
    heading = read_heading(written(tmp_path, FILED))
    assert heading.lines == {
        "object": "Bridge 12 over <the river>", "inspector": "A. Muster", "client": "City",
        "date": "25.11.2026", "contract no": "4711",
    }  # fmt: skip
    about = About("m", {}, None, {}, "today", heading=heading)
    write(report(tmp_path / "r.html", about, limits=None, expected=1), [fake_photo()])
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<title>Bridge 12, main inspection</title>" in page
    assert "Bridge 12 over &lt;the river&gt;" in page
    assert page.count("Place, date, signature") == 2
    about = About("m", {}, None, {}, "today")
    write(report(tmp_path / "r.html", about, limits=None, expected=1), [fake_photo()])
    assert "Place, date" not in (tmp_path / "r.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("form", "text"),
    [("long", "5 May 2026"), ("us", "May 5, 2026"), ("iso", "2026-05-05"), ("de", "05.05.2026")],
)
def test_dates_in_their_forms(tmp_path, form, text):
    path = written(tmp_path, f"date: 2026-05-05\ndate_form: {form}\n")
    assert read_heading(path) == Heading(lines={"date": text})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "holds no lines"),
        ("object: {a: b}", "object is"),
        ("date_form: fr", "date_form is fr"),
        ("object: [", "cannot be read"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, text, reason):
    with pytest.raises(InputError, match=reason):
        read_heading(written(tmp_path, text))


def test_without_a_browser_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(pdf, "BROWSERS", ())
    monkeypatch.setattr(pdf, "PLACES", ())
    with pytest.raises(InputError, match="No browser that prints"):
        pdf.print_pdf(tmp_path / "r.html", tmp_path / "r.pdf")
    assert not (tmp_path / "r.pdf").exists()
