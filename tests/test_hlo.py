"""Bytes that a compiled program sends, counted in texts written by hand."""

import pytest

from steppo_jax import hlo

TEXT = """HloModule made_up
%sum (a: f32[], b: f32[]) -> f32[] {
  ROOT %c = f32[] add(%a, %b)
}
%layer (p: f32[8,4]) -> f32[8,4] {
  %g = bf16[16,4]{1,0} all-gather(%p), dimensions={0}
  ROOT %r = f32[8,4]{1,0} all-reduce(%x), to_apply=%sum
}
%slice (p: f32[8,4]) -> f32[8,4] {
  %l = f32[8,4] while(%p), condition=%sum, body=%layer, backend_config={"known_trip_count":{"n":"3"}}
}
ENTRY %main (p: f32[8,4]) -> f32[8,4] {
  %w = f32[8,4] while(%p), condition=%sum, body=%slice
  %s = (f32[2], f32[4]) all-gather-start(%p), dimensions={0}
  %d = f32[4] all-gather-done(%s)
}
"""  # noqa: E501


@pytest.mark.parametrize(
    ("condition", "times"),
    [
        ("compare(%i, %n), direction=LT", 7),
        ("compare(%i, %given), direction=LT", 5),  # follows the data
        ("compare(%i, %n), direction=NE", 5),
    ],
)
def test_a_loop_up_to_a_constant_runs_as_often(condition, times):
    """As libtpu writes them: no count beside the loop."""
    text = f"""%body (p: f32[8]) -> f32[8] {{
  ROOT %g = f32[8]{{0:T(256)}} all-reduce(%p), to_apply=%sum
}}
%until (p: (s32[], f32[8])) -> pred[] {{
  %n = s32[]{{:T(256)}} constant(7)
  %i = s32[]{{:T(256)}} get-tuple-element(%p), index=0
  ROOT %lt = pred[]{{:T(512)}} {condition}, metadata={{op_name="lt"}}
}}
ENTRY %main (p: f32[8]) -> f32[8] {{
  %w = f32[8] while(%p), condition=%until, body=%body
}}
"""
    assert hlo.collectives(text, slices=5)["all-reduce"] == times * 8 * 4


def test_loops_count_as_often_as_they_run():
    sent = hlo.collectives(TEXT, slices=5)
    assert sent["all-gather"] == 5 * 3 * 16 * 4 * 2 + 4 * 4
    assert sent["all-reduce"] == 5 * 3 * 8 * 4 * 4
    assert sent["reduce-scatter"] == 0
