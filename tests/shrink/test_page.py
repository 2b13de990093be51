"""The pages of a shrink."""

from __future__ import annotations

from widthwise.shrink import ShrinkResult
from widthwise.shrink.page import shrink_page
from widthwise.study import PROMPTS


def test_the_readme_is_one_screen_that_says_all(shrunk: tuple[ShrinkResult, list[str]]) -> None:
    result, _ = shrunk
    text = (result.folder / "README.md").read_text(encoding="utf8")
    assert text.count("\n") <= 50
    assert result.verdict in text
    assert "| task | before | after | change [95 %] | verdict | measure | floor | items |\n" in text
    assert "| task | KL [95 %] | same first choice | accepted | lost | won |\n" in text
    assert result.healing_sentence in text
    assert f'AutoModelForCausalLM.from_pretrained("{result.model.absolute()}")' in text


def test_the_page_answers_first_and_has_every_number(
    shrunk: tuple[ShrinkResult, list[str]],
) -> None:
    result, _ = shrunk
    page = shrink_page(result)
    assert page.answer[0] == result.verdict
    assert [section.key for section in page.sections] == [
        "lost",
        "costs",
        "texts",
        "load",
        "provenance",
    ]
    (load,) = page.sections[3].blocks
    assert str(result.model.absolute()) in load.sentences[0]
    html = (result.folder / "report.html").read_text(encoding="utf8")
    assert "<title>" in html
    assert "KL is the divergence of the next token" in html
    for row in (*result.table.rows, *result.distance_table.rows, *result.speed_table.rows):
        assert row[0] in html


def test_the_page_shows_what_both_write(shrunk: tuple[ShrinkResult, list[str]]) -> None:
    result, _ = shrunk
    texts = next(section for section in shrink_page(result).sections if section.key == "texts")
    assert [block.heading for block in texts.blocks] == list(PROMPTS)
    for block in texts.blocks:
        assert [passage.name for passage in block.passages] == ["before", "after"]
        assert all(passage.shared + passage.rest for passage in block.passages)
