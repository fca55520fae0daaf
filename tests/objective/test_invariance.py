"""The loss and its gradient against loops, and in every layout and split."""

import dataclasses
import itertools

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from steppo_jax import objective
from steppo_jax.parallel import ONE, Axis
from tests.oracles import losses
from tests.oracles.ragged import LAYOUTS, episodes, lay

CAPACITY = dict(num_rows=20, num_sequences=16, length=14)
GRID = list(itertools.product(objective.RATIOS, objective.AGGREGATES))
NUMBERS = dict(clip_low=0.2, clip_high=0.3, dual_clip=2.0)
SHAPE = [[2, 0, 3], [1, 2], [3, 1, 1, 2], [2], [0]]


@dataclasses.dataclass
class Case:
    """A batch of log-probs and advantages of the tokens of each step."""

    data: list
    log_prob: dict
    old: dict
    ref: dict
    advantage: dict

    @classmethod
    def of(cls, shape, seed):
        rng = np.random.default_rng(seed)
        data = episodes(shape, seed)
        tables = [{}, {}, {}, {}]
        for e, t in itertools.chain(
            *([(e, t) for t in range(len(ep.steps))] for e, ep in enumerate(data))
        ):
            n = len(data[e].steps[t].token_value)
            old = rng.normal(-2.0, 1.0, n)
            for table, x in zip(
                tables,
                (
                    old + rng.normal(0, 0.3, n),
                    old,
                    old + rng.normal(0, 0.3, n),
                    rng.normal(size=n),
                ),
            ):
                table[e, t] = x.tolist()
        return cls(data, *tables)

    def table(self, laid, values):
        x = np.full(laid.batch.step_id.shape, np.nan)
        for key, places in laid.place.items():
            for at, v in zip(places, values[key]):
                x[at] = v
        return jnp.asarray(x)

    def rows(self, values):
        return [values[key] for key in self.log_prob]

    def ids(self):
        traj = [e for e, _ in self.log_prob]
        return traj, [self.data[e].group for e in traj]


def constant(aggregate):
    return 7.0 if aggregate == "constant" else None


def loss_and_grad(ratio, aggregate, tables, steps, step_id, axis=ONE):
    """The mean loss and its gradient, as a learner computes them."""
    weight, count = objective.loss_weights(
        steps, step_id, axis, aggregate, constant(aggregate)
    )
    return sums_and_grad(ratio, tables, steps, step_id, weight, count, axis)


def sums_and_grad(ratio, tables, steps, step_id, weight, count, axis=ONE, sums=None):
    log_prob, old, ref, advantage = tables
    settings = objective.ObjectiveSettings(ratio, **NUMBERS, kl="k3", kl_coef=0.1)
    extra = {}
    if ratio in objective.COUPLED:
        if sums is None:
            sums = objective.ratio_sums(log_prob, old, step_id, steps.num_rows)
        extra["ratio_sums"] = axis.sum(sums)
    if ratio == "trajectory":
        extra["traj_id_B"] = steps.traj_id

    def total(log_prob):
        out = objective.policy_loss(
            log_prob,
            old,
            advantage,
            step_id,
            weight,
            count,
            settings,
            steps.num_rows,
            ref_log_prob_SL=ref,
            **extra,
        )
        return out.loss, out

    (_, out), grad = jax.value_and_grad(total, has_aux=True)(log_prob)
    out = objective.over_devices(out, axis)
    return out.loss / out.count, grad / out.count, out


run = jax.jit(
    lambda tables, steps, step_id: {
        (ratio, aggregate): loss_and_grad(ratio, aggregate, tables, steps, step_id)[:2]
        for ratio, aggregate in GRID
    }
)


def in_layout(case, layout, seed):
    laid = lay(case.data, layout, seed, **CAPACITY)
    values = (case.log_prob, case.old, case.ref, case.advantage)
    tables = [case.table(laid, v) for v in values]
    return laid, (tables, laid.batch.steps, laid.batch.step_id)


@hypothesis.settings(max_examples=60, deadline=None, database=None)
@hypothesis.given(
    st.lists(
        st.lists(st.integers(0, 3), min_size=1, max_size=4), min_size=1, max_size=4
    ).filter(lambda shape: any(map(any, shape))),
    st.integers(0, 2**32 - 1),
    st.sampled_from(LAYOUTS),
)
def test_the_loss_equals_the_loop(shape, seed, layout):
    case = Case.of(shape, seed)
    laid, arguments = in_layout(case, layout, seed)
    got = run(*arguments)
    traj, group = case.ids()
    for (ratio, aggregate), (loss, grad) in got.items():
        want = losses.policy(
            ratio,
            aggregate,
            *map(case.rows, (case.log_prob, case.old, case.advantage)),
            traj,
            group,
            low=0.2,
            high=0.3,
            dual=2.0,
            constant=constant(aggregate),
            kl="k3",
            ref=case.rows(case.ref),
            kl_coef=0.1,
        )
        assert_allclose(
            loss, want, rtol=1e-5, atol=1e-5, err_msg=f"{ratio} {aggregate}"
        )
        outside = ~np.asarray(laid.batch.response_mask)
        assert np.all(np.asarray(grad)[outside] == 0)


def test_the_gradient_is_the_derivative_of_the_loop():
    # Where the advantage is the same for the tokens of the unit, and so is the
    # weight, the gradient is that of the loss value: central differences.
    case = Case.of([[2, 3], [1, 1], [3, 1]], 1)
    for key in case.advantage:
        case.advantage[key] = [float(key[0] - 1)] * len(case.advantage[key])
    laid, arguments = in_layout(case, "rows", 1)
    got = run(*arguments)
    traj, group = case.ids()
    for ratio, aggregate in GRID:
        if ratio == "trajectory" and aggregate not in ("token", "constant"):
            continue  # weights differ between the steps of a trajectory

        def value(case, ratio=ratio, aggregate=aggregate):
            return losses.policy(
                ratio,
                aggregate,
                *map(case.rows, (case.log_prob, case.old, case.advantage)),
                traj,
                group,
                low=0.2,
                high=0.3,
                dual=2.0,
                constant=constant(aggregate),
                kl="k3",
                ref=case.rows(case.ref),
                kl_coef=0.1,
            )

        if ratio == "step_calibrated":
            continue  # μ̂ is a constant for the gradient: tested below
        grad = np.asarray(got[ratio, aggregate][1])
        for key, places in laid.place.items():
            for i, at in enumerate(places):
                h, x = 1e-6, case.log_prob[key][i]
                case.log_prob[key][i] = x + h
                up = value(case)
                case.log_prob[key][i] = x - h
                down = value(case)
                case.log_prob[key][i] = x
                assert_allclose(
                    grad[at],
                    (up - down) / (2 * h),
                    rtol=1e-3,
                    atol=1e-5,
                    err_msg=f"{ratio} {aggregate} {key} {i}",
                )


def test_calibrated_gradient_by_hand():
    # z = (log 4, 0 | 0): μ̂ = log 4/3; log ρ_0 = μ̂ + (log 4 − 2μ̂)/√2.
    # Step 0 has weight ½ (n = 2), so token i gets −½·½·√2·ρ_0 with A = 1.
    z = np.array([[np.log(4), 0.0], [0.0, 0.0]])
    mask = np.array([[1, 1], [1, 0]])
    mu = np.log(4) / 3
    rho = np.exp(mu + (np.log(4) - 2 * mu) / np.sqrt(2))
    _, grad = objective.from_rows(
        "step_calibrated", z, 0 * z, np.ones((2, 2)), mask, clip_low=1, clip_high=9
    )
    assert_allclose(grad[0], [-rho * np.sqrt(2) / 4] * 2, rtol=1e-5)


@pytest.mark.parametrize(("x64", "bound"), [(False, 1e-5), (True, 1e-12)])
def test_every_layout_gives_the_same_loss_and_gradient(x64, bound):
    case = Case.of(SHAPE, 2)
    with jax.enable_x64(x64):
        ways = [("rows", 3), ("packed", 4), ("merged", 5)]
        laid = [in_layout(case, *way) for way in ways]
        outs = [run(*arguments) for _, arguments in laid]
    assert outs[0]["token", "token"][0].dtype == (np.float64 if x64 else np.float32)

    def loss_and_tokens(k, cell):
        grad = np.asarray(outs[k][cell][1])
        places = laid[k][0].place
        return [outs[k][cell][0]], [
            grad[at] for key in case.log_prob for at in places[key]
        ]

    for cell in GRID:
        rows = loss_and_tokens(0, cell)
        for other in (1, 2):
            for x, y in zip(rows, loss_and_tokens(other, cell)):
                gap = np.linalg.norm(np.subtract(x, y)) / np.linalg.norm(x)
                assert gap <= bound, (cell, ways[other], gap)


def test_eight_devices_equal_one():
    case = Case.of(SHAPE, 5)
    _, (tables, steps, step_id) = in_layout(case, "packed", 5)
    one = run(tables, steps, step_id)

    def body(tables, step_id):
        axis = Axis("data", 8)
        return {
            cell: loss_and_grad(*cell, tables, steps, step_id, axis)[:2]
            for cell in GRID
        }

    split = jax.tree.map(lambda x: x.reshape(8, 2, -1), (tables, step_id))
    many = jax.pmap(body, axis_name="data")(*split)
    for cell in GRID:
        assert_allclose(one[cell][0], many[cell][0][0], rtol=1e-5, atol=1e-6)
        grad = many[cell][1].reshape(one[cell][1].shape)
        gap = np.linalg.norm(one[cell][1] - grad) / np.linalg.norm(grad)
        assert gap <= 1e-5, (cell, gap)


def test_micro_batches_add_up():
    # Weights on the whole batch, ratio sums on the minibatch, losses in two parts.
    case = Case.of(SHAPE, 6)
    _, (tables, steps, step_id) = in_layout(case, "packed", 6)
    whole = run(tables, steps, step_id)
    halves = (slice(0, None, 2), slice(1, None, 2))

    @jax.jit
    def in_parts(tables, steps, step_id):
        out = {}
        for ratio, aggregate in GRID:
            weights = objective.loss_weights(
                steps, step_id, ONE, aggregate, constant(aggregate)
            )
            parts = [
                jax.tree.map(lambda x, half=half: x[half], (tables, step_id, *weights))
                for half in halves
            ]
            sums = None
            if ratio in objective.COUPLED:
                first_pass = [
                    objective.ratio_sums(t[0], t[1], ids, steps.num_rows)
                    for t, ids, _, _ in parts
                ]
                sums = jax.tree.map(jnp.add, *first_pass)
            made = [
                sums_and_grad(ratio, t, steps, ids, w, c, sums=sums)
                for t, ids, w, c in parts
            ]
            total = objective.merge(made[0][2], made[1][2])
            # Each part divided its gradient by its own count.
            grads = [grad * part.count / total.count for _, grad, part in made]
            out[ratio, aggregate] = total.loss / total.count, grads
        return out

    for cell, (loss, grads) in in_parts(tables, steps, step_id).items():
        assert_allclose(loss, whole[cell][0], rtol=1e-5, atol=1e-6)
        for half, grad in zip(halves, grads):
            assert_allclose(
                grad, whole[cell][1][half], rtol=1e-5, atol=1e-6, err_msg=str(cell)
            )
