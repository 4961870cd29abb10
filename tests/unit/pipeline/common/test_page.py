"""The page that both programs write: nothing in it can break out, and numbers sort by value."""

import json

from pipeline.common.page import (
    Number,
    Raw,
    card,
    chooser,
    embedded,
    facts,
    figure,
    folded_json,
    render_page,
    select,
    table,
    warning,
    write_page,
)

EVIL = '"><script>alert(1)</script>'


def test_no_text_becomes_markup():
    pieces = [
        card(EVIL, EVIL, EVIL),
        table([EVIL, f"#{EVIL}"], [[EVIL, Number(1.0, EVIL)]], caption=EVIL),
        figure(EVIL, drawn={"lengths": EVIL}),
        select(EVIL, [(EVIL, EVIL)]),
        chooser("which", EVIL, [EVIL]),
        facts({EVIL: EVIL}),
        folded_json(EVIL, {EVIL: EVIL}),
        warning(EVIL, [EVIL], after=EVIL),
    ]
    for piece in pieces:
        assert "<script" not in piece
        assert 'lengths=""' not in piece
    page = render_page(
        title=EVIL, subtitle=EVIL, contents={}, sections=pieces, script="", found=[EVIL]
    )
    assert EVIL not in page


def test_only_raw_html_is_taken_as_it_stands():
    assert "<td><b>x</b></td>" in table(["a"], [[Raw("<b>x</b>")]])
    assert "<td>&lt;b&gt;</td>" in table(["a"], [["<b>"]])


def test_a_number_sorts_by_its_value_and_not_by_its_text():
    assert '<td class=n data-value="1234">1,234 (!)</td>' in table(
        ["#n"], [[Number(1234, "1,234 (!)")]]
    )
    assert "<td class=n>–</td>" in table(["#n"], [[Number(None, "–")]])


def test_embedded_json_cannot_end_its_script():
    text = embedded({"a": "</script>\u2028"})
    assert "<" not in text
    assert json.loads(text) == {"a": "</script>\u2028"}


def test_the_contents_list_the_sections_that_are_there():
    page = render_page(
        title="t",
        subtitle="s",
        contents={"one": "First", "two": "Second"},
        sections=['<h2 id="two">2</h2>'],
        script="",
        found={},
    )
    assert 'href="#two">Second</a>' in page
    assert "First" not in page


def test_text_that_looks_like_a_place_of_the_page_is_left_alone(tmp_path):
    page = render_page(
        title="{{json}}", subtitle="", contents={}, sections=[], script="", found={"x": 1}
    )
    assert "<title>{{json}}</title>" in page
    assert write_page(page + "é", tmp_path / "new/p.html") == len(page.encode()) + 2
    assert (tmp_path / "new/p.html").read_text(encoding="utf-8") == page + "é"
