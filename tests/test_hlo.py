"""Bytes that a compiled program sends, counted in texts written by hand."""

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


def test_loops_count_as_often_as_they_run():
    sent = hlo.collectives(TEXT, slices=5)
    assert sent["all-gather"] == 5 * 3 * 16 * 4 * 2 + 4 * 4
    assert sent["all-reduce"] == 5 * 3 * 8 * 4 * 4
    assert sent["reduce-scatter"] == 0
