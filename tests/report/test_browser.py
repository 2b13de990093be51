"""The page in a browser: no errors, and every reader gets the numbers by eye, hand and keyboard."""

from dataclasses import replace
from pathlib import Path

import pytest
from page_harness import say
from report_records import make_records

from widthwise.report import write_page

TIP = "const tip = document.querySelector('.tip');"
TABLE = "const part = document.querySelector('#table-scores'), table = part.querySelector('table');"
SHOWN = "[...table.tBodies[0].rows].filter((row) => !row.hidden)"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("browser") / "page.html"
    kept = ("piqa", "mmlu", "prose", "bytes", "decode")
    records = [r for r in make_records(40) if r.quantity in kept]
    gone = {"value": None, "standard_error": None, "items": (), "reason": "no memory"}
    lost = ("mmlu", "ppm", "1.6x")
    records = [
        replace(r, **gone) if (r.quantity, r.criterion, r.asked) == lost else r for r in records
    ]
    write_page(records, path, title="A study", settings={})
    return path


@pytest.mark.parametrize("width", [1280, 390])
def test_it_opens_without_errors_and_fits_its_width(page: Path, width: int) -> None:
    script = (
        "const root = document.documentElement;"
        "return [root.classList.contains('js'), root.scrollWidth - root.clientWidth,"
        " [...document.querySelectorAll('#scores .plot')].every((plot) => plot.offsetWidth > 200)]"
    )
    said, console = say(page, script, width=width)
    assert said == [True, 0, True]
    assert console == []


def test_rows_are_sorted_by_value_and_back(page: Path) -> None:
    script = f"""{TABLE}
    const heads = [...table.tHead.rows[0].cells];
    const score = heads.findIndex((head) => head.textContent.startsWith('score'));
    const button = heads[score].querySelector('button');
    const state = () => [heads[score].getAttribute('aria-sort'), heads[0].getAttribute('aria-sort'),
      [...table.tBodies[0].rows].map((row) => row.cells[score].dataset.by ?? '')];
    const states = [state()];
    heads[0].querySelector('button').click();
    for (let i = 0; i < 3; i++) {{ button.click(); states.push(state()); }}
    return states;"""
    said, console = say(page, script)
    assert console == []
    (given, up, down, back) = said
    assert [s[0] for s in said] == ["none", "ascending", "descending", "none"]
    assert [s[1] for s in said] == ["none"] * 4
    values = [float(text) for text in up[2] if text]
    assert len(values) == 3 * 13 - 1
    assert values == sorted(values)
    assert [float(text) for text in down[2] if text] == values[::-1]
    assert up[2][-1] == down[2][-1] == ""  # what is missing comes last both ways
    assert back == given


def test_rows_are_filtered_by_choice_and_by_words(page: Path) -> None:
    script = f"""{TABLE}
    const [task, criterion] = part.querySelectorAll('select');
    const search = part.querySelector('input'), count = part.querySelector('.count');
    const seen = () => [{SHOWN}.map((row) => row.cells[0].textContent + ' ' +
      row.cells[1].textContent), count.textContent];
    const change = (field, value, event) => {{
      field.value = value; field.dispatchEvent(new Event(event)); return seen(); }};
    return [seen(), change(task, 'piqa', 'change'), change(criterion, 'ppm', 'change'),
      change(search, 'NO SUCH words', 'input'), change(search, '1.58X', 'input')];"""
    (everything, piqa, ppm, none, one), console = say(page, script)
    assert console == []
    assert everything[1] == "39 rows"
    assert len(piqa[0]) == 13
    assert ppm == [["piqa ppm"] * 6, "6 of 39 rows"]
    assert none == [[], "0 of 39 rows"]
    assert one == [["piqa ppm"], "1 of 39 rows"]


def test_values_are_told_where_the_pointer_is(page: Path) -> None:
    script = f"""{TIP}
    const svg = document.querySelector('.plot svg'), at = svg.getBoundingClientRect();
    const move = (x) => {{ svg.dispatchEvent(new PointerEvent('pointermove', {{bubbles: true,
      clientX: at.left + x * at.width, clientY: at.top + at.height / 2}}));
      return [tip.hidden, tip.innerText, document.querySelectorAll('.guide').length]; }};
    const plot = document.querySelector('.plot');
    const tips = JSON.parse(plot.dataset.tips), box = svg.viewBox.baseVal;
    const states = [tip.hidden, move(tips[3][0] / box.width), move(1.5)];
    plot.dispatchEvent(new PointerEvent('pointerleave'));
    return [...states, tips[3]];"""
    (before, over, outside, told), console = say(page, script)
    assert console == []
    assert before is True
    assert over[0] is False
    assert over[2] == 1
    _, _, head, rows = told
    for part in (head, *(text for row in rows for text in (row[2], row[3]))):
        assert part in over[1]
    assert (outside[0], outside[2]) == (True, 0)


def test_values_are_told_by_the_arrow_keys(page: Path) -> None:
    script = f"""{TIP}
    const plot = document.querySelector('.plot');
    plot.focus();
    const press = (key) => {{ plot.dispatchEvent(new KeyboardEvent('keydown', {{key}}));
      return tip.hidden ? '' : tip.querySelector('b').textContent; }};
    return [plot.tabIndex, press('ArrowRight'), press('ArrowRight'), press('ArrowLeft'),
      press('ArrowLeft'), press('Escape')];"""
    said, console = say(page, script)
    assert console == []
    tab, first, second, third, fourth, closed = said
    assert tab == 0
    assert first.endswith("at 2.67x")
    assert second.endswith("at 2.39x")
    assert third == fourth == first
    assert closed == ""


def test_a_quality_is_chosen_and_only_its_fronts_are_shown(page: Path) -> None:
    script = """const fronts = document.querySelector('.fronts');
    const choice = fronts.querySelector('select');
    const shown = () => [...fronts.querySelectorAll('.front')]
      .map((front) => front.offsetHeight > 0);
    const first = shown();
    choice.selectedIndex = 1; choice.dispatchEvent(new Event('change'));
    return [first, shown()];"""
    (first, second), console = say(page, script)
    assert console == []
    assert first[:2] == [True, False]
    assert second[:2] == [False, True]
    assert sum(first) == sum(second) == 1


def test_all_that_acts_is_reached_by_tab_and_seen(page: Path) -> None:
    script = """const skip = document.querySelector('a.skip');
    skip.focus();
    const acting = [...document.querySelectorAll('a, button, select, input, summary, .scroll')];
    return [getComputedStyle(skip).top, document.querySelector(skip.getAttribute('href')) !== null,
      acting.every((part) => part.tabIndex === 0),
      [...document.querySelectorAll('th button')].every((b) => b.closest('th').ariaSort)];"""
    (top, leads, all_reached, all_sorted), _ = say(page, script)
    assert not top.startswith("-")
    assert leads
    assert all_reached
    assert all_sorted
