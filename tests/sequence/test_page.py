from __future__ import annotations

import base64
import hashlib
import re

import pytest

from deepfake_seq.sequence import page


@pytest.mark.parametrize(
    "hostile",
    ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "&lt;b&gt;", "a'b"],
)
def test_text_stays_text(hostile: str) -> None:
    whole = page.page(
        hostile,
        [
            page.heading(hostile),
            page.paragraph(hostile),
            page.table([[hostile], [hostile]]),
            page.facts({hostile: hostile}),
            page.lines(f"{hostile}\n{hostile}"),
            page.image(b"png", hostile),
        ],
    )
    tags = set(re.findall(r"<(\w+)", whole))
    assert "script" not in tags and "b" not in tags
    assert whole.count("<img") == 1
    assert hostile not in whole


def test_what_does_not_show_is_spelt_out() -> None:
    assert page.text("\u202egpj.exe") == "&#x27;\\u202egpj.exe&#x27;"
    assert page.text("a\nb") == "&#x27;a\\nb&#x27;"
    page.text("\udcff").encode()  # a name that is not UTF-8
    assert page.text("Zoë 3 – ½") == "Zoë 3 – ½"


def test_the_policy_allows_its_own_style_and_pictures_only() -> None:
    whole = page.page("title", [])
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', whole)
    (style,) = re.findall(r"<style>(.*?)</style>", whole, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "style=" not in whole  # which the policy would forbid
