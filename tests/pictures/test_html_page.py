from cordlesion.pictures.html_page import mark_code


def test_what_stands_between_backticks_is_code_and_all_else_stays_text() -> None:
    marked = mark_code("Set `split.lesion_free: <b>`, or `x`; a lone ` stays, and <i>this</i> too")
    assert marked == (
        "Set <code>split.lesion_free: &lt;b&gt;</code>, or <code>x</code>; a lone ` stays, "
        "and &lt;i&gt;this&lt;/i&gt; too"
    )
