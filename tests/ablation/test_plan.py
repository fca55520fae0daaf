"""Which runs are lanes of one program, and which batch a worker takes next."""

import pytest

from configs import household
from configs.ablations import common
from steppo_jax import programs
from steppo_jax.ablation import plan, warm

CELLS = {
    "step": "household:steppo",
    "token": "household:ppo",
    "step-low": "household:steppo,credit.gamma=0.9,policy.learning_rate=0.1",
}


def made(lanes=1, cells=CELLS, seeds=range(3)):
    return plan.batches(common.build("t", "", cells, seeds=seeds).runs(), lanes)


def names(batches):
    return [[run.name for run in batch.runs] for batch in batches]


def test_cells_of_one_shape_stand_together():
    found = names(made(seeds=[0]))
    assert found == [["step/seed-0"], ["step-low/seed-0"], ["token/seed-0"]]


def test_lanes_are_seeds_of_one_cell():
    found = names(made(2))
    assert found[0] == ["step/seed-0", "step/seed-1"] and ["step/seed-2"] in found
    assert max(map(len, found)) == 2
    by_text = {"g": "household:gigpo,credit.similarity=0.9"}
    assert max(map(len, names(made(3, by_text)))) == 1


@pytest.mark.parametrize(
    ("field", "same"),
    [
        ("seed=3", True),
        ("iterations=9", True),
        ("eval.episodes=16", True),
        ("credit.gamma=1", True),
        ("credit.lam=0.5", True),
        ("objective.clip_low=0.2", True),
        ("policy.learning_rate=0.1", True),
        ("critic.learning_rate=0.1", True),
        ("credit.normalise=none", False),
        ("objective.dual_clip=3", False),  # a term more
        ("critic.value_clip=0.2", False),
        ("objective.entropy_coef=0.1", False),
        ("learner.epochs=2", False),
        ("rollout.temperature=0.9", False),
        ("warm_start.learning_rate=0.1", False),
        ("env.max_steps=9", False),
    ],
)
def test_the_shape_is_what_decides_the_programs(field, same):
    one = household.get_config("steppo")
    other = household.get_config(f"steppo,{field}")
    assert (programs.shape(one) == programs.shape(other)) == same
    if not same:
        with pytest.raises(ValueError, match="its programs are not those"):
            programs.build(one).at(other)


def test_a_worker_keeps_its_shape_then_takes_a_new_one():
    waiting = made(seeds=[0])
    step, low, token = waiting
    assert plan.choose(waiting, None, []) is step
    assert plan.choose([token, low], step.shape, []) is low
    assert plan.choose([low, token], None, [step]) is token
    assert plan.choose([low], None, [step]) is low


def test_two_workers_make_different_warm_starts():
    step_0, step_1, *_ = waiting = made()
    token = [b for b in waiting if b.runs[0].cell.name == "token"]
    assert plan.choose(token, None, [step_0]) is token[1]  # seed 1
    assert plan.choose(token, None, [step_1]) is token[0]
    assert step_0.warm == token[0].warm != token[1].warm


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("ppo", True),
        ("grpo", True),
        ("steppo,credit.gamma=0.5", True),
        ("steppo,policy.learning_rate=0.5", True),
        ("steppo,seed=1", False),
        ("steppo,env.max_steps=9", False),
        ("steppo,model.width=32", False),
        ("steppo,warm_start.success=0.3", False),
        ("steppo,rollout.groups=32", False),
        ("steppo,context.policy=append", False),
    ],
)
def test_what_a_warm_start_depends_on(text, same):
    keys = [warm.key(household.get_config(t)) for t in ("steppo", text)]
    assert (keys[0] == keys[1]) == same
