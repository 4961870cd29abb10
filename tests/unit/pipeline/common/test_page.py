"""The page that both programs write: nothing in it can break out, and numbers sort by value."""

import json
import re

import pytest

from pipeline.common.page import environment, write_page
from pipeline.contract import ConfigError

EVIL = '"><script>alert(1)</script>'
ELEMENTS = "{% import 'elements.html' as e %}"
BASE = "{% extends 'base.html' %}{% set title, subtitle = words, words %}"


def render(template, **content):
    """A template, as if it were the page of the cache's view."""
    return environment("pipeline.view").from_string(template).render(content)


@pytest.mark.parametrize(
    "piece",
    [
        "{{ e.card(evil, evil, evil) }}",
        "{% call e.table([evil, '#' ~ evil], caption=evil, id=evil) %}"
        "<td>{{ evil }}</td>{{ e.number(1.0, evil) }}{% endcall %}",
        "{{ e.figure(evil, {'data-lengths': evil}) }}",
        "{{ e.select(evil, {evil: evil}) }}",
        "{{ e.chooser('which', evil, [evil]) }}",
        "{{ e.facts({evil: evil}) }}",
        "{{ e.folded_json(evil, {evil: evil}) }}",
        "{% call e.warning(evil, after=evil) %}{{ evil }}{% endcall %}",
    ],
)
def test_no_text_becomes_markup(piece):
    shown = render(ELEMENTS + piece, evil=EVIL)
    assert "alert(1)" in shown
    assert "<script" not in shown
    assert 'lengths=""' not in shown


def test_no_text_of_the_page_becomes_markup():
    block = "{% set contents = {words: words} %}{% block main %}{{ words }}{% endblock %}"
    page = render(BASE + block, words=EVIL, found=[EVIL])
    assert EVIL not in page
    assert page.startswith("<!doctype html>")


def test_only_markup_is_taken_as_it_stands():
    table = ELEMENTS + "{% call e.table(['a']) %}<tr><td><b>x</b>{{ '<b>' }}</td></tr>{% endcall %}"
    assert "<td><b>x</b>&lt;b&gt;</td>" in render(table)


def test_a_number_sorts_by_its_value_and_not_by_its_text():
    shown = render(ELEMENTS + "{{ e.number(1234, '1,234 (!)') }}{{ e.number(none, '–') }}")
    assert shown == '<td class=n data-value="1234">1,234 (!)</td><td class=n>–</td>'
    assert render(ELEMENTS + "{{ e.whole(1234) }}") == '<td class=n data-value="1234">1,234</td>'


def test_embedded_json_cannot_end_its_script():
    content = {"b": "</script>\u2028", "a": 1}
    page = render(BASE + "{% set contents = {} %}", words="", found=content)
    (text,) = re.findall(r'id="found">(.*?)</script>', page)
    assert "<" not in text
    assert list(json.loads(text).items()) == list(content.items()), "in this order"
    with pytest.raises(ValueError, match="not JSON compliant"):
        render(BASE + "{% set contents = {} %}", words="", found=float("nan"))


def test_the_contents_list_the_sections_that_are_there():
    page = render(
        BASE + "{% set contents = {'one': 'First', 'two': 'Second'} %}"
        '{% block main %}<h2 id="two">2</h2>{% endblock %}',
        words="",
        found={},
    )
    assert 'href="#two">Second</a>' in page
    assert "First" not in page


def test_text_that_looks_like_a_place_of_the_page_is_left_alone(tmp_path):
    page = render(BASE + "{% set contents = {} %}", words="{{ found }}", found={"x": 1})
    assert "<title>{{ found }}</title>" in page
    assert write_page(page + "é", tmp_path / "new/p.html") == len(page.encode()) + 2
    assert (tmp_path / "new/p.html").read_text(encoding="utf-8") == page + "é"


def test_a_page_in_a_folder_of_nowhere_is_refused_and_nothing_made(tmp_path):
    path = tmp_path / "no" / "such" / "p.html"
    with pytest.raises(ConfigError, match=r"such/p\.html: there is no folder .*no: make it"):
        write_page("page", path)
    assert not (tmp_path / "no").exists()
