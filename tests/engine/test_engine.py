"""What the engine says does not depend on slots, buckets, order or reuse, and is what
the learner's forward pass says."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steppo_jax.engine import Engine, EngineError, Request, Sampling, device
from steppo_jax.learner import forward
from steppo_jax.models.decoder import DecoderConfig
from steppo_jax.models.heads import Policy

CONFIG = DecoderConfig(
    vocabulary=23,
    width=16,
    layers=2,
    heads=4,
    kv_heads=2,
    head_width=4,
    mlp_width=24,
    positions="rope",
    rope_theta=100.0,
)
POLICY = Policy(CONFIG)
STOP = 5


@pytest.fixture(scope="module")
def params():
    ids = jnp.zeros((1, 2), jnp.int32)
    return POLICY.init(jax.random.key(0), ids, ids, ids + 1)


def engine(params, **options):
    options = {"slots": 3, "longest": 32, "buckets": (4, 8, 16), "steps": 4} | options
    return Engine(POLICY, params, (STOP,), **options)


def requests(count, sampling=Sampling(), max_new=9, seed=0):  # noqa: B008 (frozen)
    rng = np.random.default_rng(seed)
    return [
        Request(
            prompt=tuple(rng.integers(6, 23, rng.integers(1, 18)).tolist()),
            key=jax.random.fold_in(jax.random.key(7), i),
            max_new=max_new,
            sampling=sampling,
        )
        for i in range(count)
    ]


@pytest.fixture(scope="module")
def answers(params):
    return engine(params).run(requests(8))


def test_responses_end_at_a_stop_token_or_the_limit(answers):
    assert {a.finish for a in answers} == {"stop", "length"}
    for a in answers:
        n = len(a.token)
        assert len(a.log_prob) == len(a.policy_version) == n
        assert STOP not in a.token[:-1]
        stopped = a.token[-1] == STOP
        assert a.finish == ("stop" if stopped else "length")
        assert stopped or n == 9


def same(found, wanted):
    for a, b in zip(found, wanted, strict=True):
        assert a.request.prompt == b.request.prompt
        np.testing.assert_array_equal(a.token, b.token)
        np.testing.assert_allclose(a.log_prob, b.log_prob, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"slots": 1},
        {"buckets": (32,)},
        {"steps": 1},
        {"longest": 48},
        {"reach": 6},
        {"turn": False},
        {"turn": True, "slots": 70},
    ],
)
def test_slots_buckets_and_chunks_do_not_matter(params, answers, options):
    same(engine(params, **options).run(requests(8)), answers)


def test_order_does_not_matter(params, answers):
    same(engine(params).run(requests(8)[::-1])[::-1], answers)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_log_probs_are_the_learners(params, temperature):
    for a in engine(params).run(requests(4, Sampling(temperature))):
        whole = jnp.asarray([*a.request.prompt, *a.token.tolist()])[None]
        place = jnp.arange(whole.shape[1])[None]
        inputs = (whole, place, jnp.ones_like(whole))
        log_prob, _ = forward.log_probs(POLICY, params, inputs, temperature)
        wanted = log_prob[0, len(a.request.prompt) :]
        np.testing.assert_allclose(a.log_prob, wanted, atol=1e-4)


@pytest.mark.parametrize("tie", [True, False])
def test_turned_weights_say_the_same_for_every_option_of_a_decoder(tie):
    config = dataclasses.replace(
        CONFIG, tie_embeddings=tie, qkv_bias=True, qk_norm=True
    )
    policy = Policy(config)
    ids = jnp.zeros((1, 2), jnp.int32)
    params = policy.init(jax.random.key(0), ids, ids, ids + 1)
    found = [
        Engine(policy, params, (STOP,), slots=3, longest=32, turn=turn)
        for turn in (True, False)
    ]
    turned, plain = (each.run(requests(3)) for each in found)
    same(turned, plain)


def test_greedy_takes_the_likeliest_token_of_a_full_forward_pass(params):
    (a,) = engine(params).run(requests(1, Sampling(temperature=0)))
    said = list(a.request.prompt)
    for token in a.token:
        ids = jnp.asarray(said)[None]
        place = jnp.arange(len(said))[None]
        logits, _ = POLICY.apply(params, ids, place, jnp.ones_like(ids))
        assert token == int(logits[0, -1].argmax())
        said.append(int(token))


def test_a_prompt_that_extends_a_slot_is_read_from_there_on(params, answers):
    warm = engine(params)
    first = warm.run(requests(8))
    last = first[-1]
    longer = dataclasses.replace(
        last.request,
        prompt=(*last.request.prompt, *last.token.tolist(), 9, 11),
        max_new=4,
    )
    before = warm.reused
    again = warm.run([longer])
    kept = len(last.request.prompt) + len(last.token) - 1
    assert warm.reused - before == kept
    same(again, engine(params).run([longer]))
    same(first, answers)


def test_padding_never_leaves_the_cache(params):
    """A tail near the end of the cache whose bucket would reach beyond it."""
    tight = engine(params, slots=1, longest=20, buckets=(16,))
    (first,) = tight.run(requests(1, max_new=2, seed=5))
    room = 20 - len(first.request.prompt) - len(first.token) - 1
    tail = tuple(np.random.default_rng(1).integers(6, 23, room).tolist())
    longer = dataclasses.replace(
        first.request,
        prompt=(*first.request.prompt, *first.token.tolist(), *tail),
        max_new=1,
    )
    assert tight.reused == 0
    same(tight.run([longer]), engine(params).run([longer]))


def test_new_weights_count_from_the_next_token_and_empty_the_cache(params):
    other = jax.tree.map(lambda x: x * 1.5, params)
    ours = engine(params, slots=1, steps=2)
    wanted = dataclasses.replace(requests(1)[0], max_new=6, sampling=Sampling(0))
    ours.submit(wanted)
    done = ours.step()
    ours.refresh(other, 3)
    while ours.waiting:
        done += ours.step()
    ((_, answer),) = done
    assert answer.policy_version[:2].tolist() == [0, 0]
    assert set(answer.policy_version[2:].tolist()) == {3}
    before = ours.reused
    same(ours.run([wanted]), engine(other).run([wanted]))
    assert ours.reused == before


def test_stop_texts_end_a_response_at_the_token_that_completes_them(params, answers):
    def text(ids):
        return "".join(chr(97 + i) for i in ids)

    long = max(answers, key=lambda a: len(a.token))
    end = text(long.token[3:5].tolist())
    first = text(long.token.tolist()).index(end) + 2
    ours = engine(params, decode=text)
    (cut,) = ours.run([dataclasses.replace(long.request, stop=(end, "never"))])
    assert cut.finish == "stop"
    np.testing.assert_array_equal(cut.token, long.token[:first])
    same(ours.run(requests(8)), answers)  # the slot is clean again


def test_the_number_of_programs_is_bounded_by_the_buckets(params):
    device.prefill.clear_cache()
    device.decode.clear_cache()
    engine(params).run(requests(12, seed=3))
    assert device.prefill._cache_size() <= 4
    assert device.decode._cache_size() == 1
    engine(params, reach=8).run(requests(12, seed=3))  # 32 again, and 16
    assert device.decode._cache_size() == 2


def test_what_idle_slots_hold_outlives_decodes_that_do_not_reach_it(params):
    """A long prompt waits in its slot while a short one is answered beside it."""
    ours = engine(params, reach=8, slots=2)
    rng = np.random.default_rng(2)
    long = Request(
        prompt=tuple(rng.integers(6, 23, 26).tolist()),
        key=jax.random.key(1),
        max_new=2,
    )
    short = dataclasses.replace(requests(1)[0], prompt=(7, 8), max_new=5)
    alone = engine(params, slots=1, reach=32).run([long])
    same(ours.run([long]), alone)
    ours.run([short])
    before = ours.reused
    same(ours.run([long]), alone)
    assert ours.reused - before == 25


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"prompt": ()}, "prompt is empty"),
        ({"max_new": 0}, "max_new=0"),
        ({"max_new": 40}, "exceed the engine's 32"),
        ({"prompt": (99,)}, "token 99 is not in the vocabulary"),
        ({"stop": ("x",)}, "need an engine made with `decode`"),
    ],
)
def test_requests_that_cannot_be_served_are_refused(params, change, says):
    with pytest.raises(EngineError, match=says):
        engine(params).submit(dataclasses.replace(requests(1)[0], **change))


@pytest.mark.parametrize(
    "values", [{"temperature": -1.0}, {"top_k": -1}, {"top_p": 0.0}, {"top_p": 1.1}]
)
def test_sampling_settings_have_ranges(values):
    with pytest.raises(EngineError, match=next(iter(values))):
        Sampling(**values)
