"""Shows an episode as text in the terminal, or lets a person play it.

    python -m experiments.play --env=household --policy=expert --panel=seen --index=3
    python -m experiments.play --policy=human

`expert` is the environment's scripted policy (`--noise` makes it stray), `random`
says a random well-formed action at every step, `human` asks you.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

import jax
from absl import app, flags
from rich.console import Console
from rich.text import Text

from steppo_jax import envs

FLAGS = flags.FLAGS
flags.DEFINE_string("env", "household", "name of the environment")
flags.DEFINE_enum("policy", "expert", ["expert", "random", "human"], "who acts")
flags.DEFINE_string("panel", "seen", "panel the task is from")
flags.DEFINE_integer("index", 0, "which task of the panel", lower_bound=0)
# Other entry points have a --seed too; tests import several into one process.
flags.DEFINE_integer("seed", 0, "seed of the policy", allow_override=True)
flags.DEFINE_float(
    "noise",
    0.0,
    "chance that the expert says a random action instead",
    lower_bound=0.0,
    upper_bound=1.0,
)
flags.DEFINE_integer("think_tokens", None, "setting of the environment", lower_bound=0)
flags.DEFINE_integer("max_steps", None, "setting of the environment", lower_bound=1)
SETTINGS = ("think_tokens", "max_steps")

# (state, key) → response tokens; None when the person wants to stop.
Policy = Callable[[envs.State, jax.Array], jax.Array | None]


def scripted(env: envs.Environment, noise: float) -> Policy:
    """The environment's expert, straying with chance `noise`."""
    return jax.jit(lambda state, key: env.expert(state, key, noise))


def person(env: envs.Environment, console: Console) -> Policy:
    """Whoever sits at the terminal. `help` and `quit` are not steps."""

    def act(state, key):
        del state, key
        while True:
            try:
                text = console.input("> ").strip()
            except (EOFError, KeyboardInterrupt):
                return None
            if text.lower() in ("quit", "exit"):
                return None
            if text.lower() == "help":
                console.print(Text(env.instructions))
            elif text:
                return env.parse(text)

    return act


def play(
    env: envs.Environment,
    task: envs.Task,
    policy: Policy,
    key: jax.Array,
    console: Console,
    *,
    spectator: bool,
) -> bool:
    """Plays one episode on the console; True if the task ended by itself.

    A spectator sees hidden things from the start; a player sees them at the end.
    Consumes key.
    """
    reset_key, policy_key = jax.random.split(key)
    step = jax.jit(env.step)
    state, observation = jax.jit(env.reset)(reset_key, task)
    if spectator:
        console.print(Text(env.render(state)), style="dim")
    total, terminated, num_steps = 0.0, False, 0
    while not terminated and num_steps < env.max_steps:
        console.rule(f"step {num_steps + 1} of at most {env.max_steps}")
        console.print(Text(env.describe(observation)))
        response = policy(state, jax.random.fold_in(policy_key, num_steps))
        if response is None:
            console.print("stopped", style="yellow")
            return False
        if spectator:
            said = env.vocabulary.decode(response)
            console.print(Text(f"> {said}", style="bold cyan"))
        state, observation, reward, terminated = step(state, response)
        num_steps, total = num_steps + 1, total + float(reward)
    console.rule("end")
    console.print(Text(env.describe(observation)))
    console.print(Text(env.render(state)), style="dim")
    console.print(
        f"{'ended by the task' if terminated else 'cut by the step limit'} after "
        f"{num_steps} steps (fewest possible: {int(env.golden_steps(task))}), "
        f"return {total:g}",
        style="green" if terminated else "red",
    )
    return bool(terminated)


def task_of(env: envs.Environment, panel: str, index: int) -> envs.Task:
    """Task number `index` of a panel; ValueError if there is none."""
    tasks = env.panel(panel)
    size = jax.tree.leaves(tasks)[0].shape[0]
    if not 0 <= index < size:
        raise ValueError(f"index: {index} is not in 0 … {size - 1} (panel {panel!r})")
    return jax.tree.map(lambda x: x[index], tasks)


def main(argv: list[str]) -> int:
    # absl shows INFO by default, and JAX reports every platform it does not find.
    logging.getLogger("jax").setLevel(logging.WARNING)
    console = Console(highlight=False)
    try:
        if argv[1:]:
            raise ValueError(f"not a flag: {argv[1]!r}")
        if FLAGS.noise and FLAGS.policy != "expert":
            raise ValueError(f"noise: {FLAGS.noise} is for --policy=expert only")
        given = {name: FLAGS[name].value for name in SETTINGS}
        settings = {name: value for name, value in given.items() if value is not None}
        env = envs.make(FLAGS.env, **settings)
        task = task_of(env, FLAGS.panel, FLAGS.index)
    except ValueError as error:
        print(f"play: {error}", file=sys.stderr)
        return 2
    console.print(
        f"{env.name} version {env.version}, panel {FLAGS.panel}, task {FLAGS.index}",
        style="bold",
    )
    if FLAGS.policy == "human":
        console.print(Text(env.instructions + "\nhelp shows this again, quit ends."))
        policy = person(env, console)
    else:
        policy = scripted(env, 1.0 if FLAGS.policy == "random" else FLAGS.noise)
    key = jax.random.key(FLAGS.seed)
    play(env, task, policy, key, console, spectator=FLAGS.policy != "human")
    return 0


if __name__ == "__main__":
    app.run(main)
