"""Chat templates with a switch for thinking, each of another family."""

from __future__ import annotations

TURNS = "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}"
ASKED = "{% if add_generation_prompt %}<assistant>"
OFF = "<think></think>"
TEMPLATES = {  # as those of Qwen3, DeepSeek-V3.1, gpt-oss, Seed-OSS
    "enable_thinking": (
        f"{TURNS}{ASKED}{{% if enable_thinking is defined and enable_thinking is false %}}{OFF}"
        "{% endif %}{% endif %}"
    ),
    "thinking": (
        f"{{% if not thinking is defined %}}{{% set thinking = true %}}{{% endif %}}{TURNS}{ASKED}"
        f"{{% if not thinking %}}{OFF}{{% endif %}}{{% endif %}}"
    ),
    "reasoning_effort": (
        "{% if reasoning_effort is not defined %}{% set reasoning_effort = 'medium' %}{% endif %}"
        f"Reasoning: {{{{ reasoning_effort }}}}\n{TURNS}{ASKED}{{% endif %}}"
    ),
    "thinking_budget": (
        f"{TURNS}{ASKED}{{% if thinking_budget == 0 %}}{OFF}{{% endif %}}{{% endif %}}"
    ),
}
