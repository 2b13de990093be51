"""The figure of a healing shows every step, and what was held out before and after."""

from typing import Any

import numpy as np

from widthwise.report import draw_healing


def test_steps_rates_and_what_was_held_out_are_where_they_were_measured(healed: Any) -> None:
    found = healed(learning_rate=None, tokens=32 * 512, batch_tokens=512)
    upper, lower = draw_healing(found).axes
    steps, means = upper.get_lines()[:2]
    np.testing.assert_array_equal(steps.get_xdata(), [step.tokens for step in found.curve])
    np.testing.assert_array_equal(steps.get_ydata(), [step.divergence for step in found.curve])
    # With fewer steps than stretches of the way, each stretch is a step.
    np.testing.assert_array_equal(means.get_ydata(), steps.get_ydata())
    np.testing.assert_array_equal(
        lower.get_lines()[0].get_ydata(), [step.learning_rate for step in found.curve]
    )
    judged = [(s.tokens, s.held_out) for s in found.curve if s.held_out is not None]
    assert len(judged) >= 2
    line = upper.get_lines()[2].get_xydata().tolist()
    assert line == [[0, found.before.divergence.value], *map(list, judged)]
    written = found.curve[found.best_step - 1].tokens
    for bar, place, held in zip(
        upper.containers, (0, written), (found.before, found.after), strict=True
    ):
        mark, _, (line,) = bar.lines
        assert mark.get_xydata().tolist() == [[place, held.divergence.value]]
        ends = line.get_segments()[0][:, 1]
        np.testing.assert_allclose(ends, held.divergence.interval(), rtol=1e-12)  # rounding only
    texts = [text.get_text() for text in upper.figure.texts]
    blocks, tokens = found.after.divergence.n, found.block_tokens
    assert any(text.startswith(f"Held out: {blocks} blocks of {tokens} tokens.") for text in texts)
