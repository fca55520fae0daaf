"""Shows an episode as text in the terminal, or lets a person play it.

    python -m experiments.play --config=configs/household.py --panel=seen --index=3
    python -m experiments.play --config=configs/shop.py --policy=human
    python -m experiments.play --config=configs/shop.py --config.env.think_tokens=32
    python -m experiments.play --policy=runs/a --panel=unseen --decoding=greedy
    python -m experiments.play --config=configs/alfworld.py --panel=seen

`expert` is the environment's scripted policy (`--noise` makes it stray), `random`
says a random well-formed action at every step, `human` asks you, and the folder of a
run plays what it has learned, in its own environment.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable

import jax
from absl import flags
from rich.console import Console
from rich.text import Text

from experiments import entry, play_host
from experiments.restored import restore
from steppo_jax import assembly, envs, hosts, programs, run_record, settings
from steppo_jax.actor.generate import Decoding, generate

SCRIPTED = ("expert", "random")
CONFIG = entry.define_config()
POLICY = flags.DEFINE_string(
    "policy", "expert", "expert, random, human, or DIR of a run."
)
PANEL = flags.DEFINE_string("panel", "seen", "Panel the task is from.")
INDEX = flags.DEFINE_integer("index", 0, "Which task of the panel.", lower_bound=0)
SEED = flags.DEFINE_integer("seed", None, "Seed of the policy.")
DECODING = flags.DEFINE_enum("decoding", None, ["sampled", "greedy"], "Of a run.")
CHECKPOINT = flags.DEFINE_string(
    "checkpoint", "latest", "Of a run: latest, or an iteration."
)
NOISE = flags.DEFINE_float(
    "noise",
    0.0,
    "Chance that the expert says a random action instead.",
    lower_bound=0.0,
    upper_bound=1.0,
)

# (state, observation, key) → (response tokens, what was said in words); None when the
# person wants to stop.
Said = tuple[jax.Array, str] | None
Speaker = Callable[[envs.State, jax.Array, jax.Array], Said]


def scripted(env: envs.Environment, noise: float) -> Speaker:
    """The environment's expert, straying with chance `noise`."""
    act = jax.jit(lambda state, key: env.expert(state, key, noise))

    def speak(state, observation, key):
        del observation
        response = act(state, key)
        return response, env.vocabulary.decode(response)

    return speak


def trained(
    p: programs.Programs, workdir: pathlib.Path, which: str, decoding: Decoding
) -> Speaker:
    """The policy of a run's checkpoint."""
    params = restore(p, workdir, which)[1].policy
    temperature = p.config.rollout.temperature
    if p.config.lm.weights is not None:
        return p.speaker(params, temperature if decoding == "sampled" else 0.0)

    @jax.jit
    def act(observation, key):
        length = p.env.response_length
        said = generate(
            p.learner.policy,
            params,
            observation[None],
            key[None],
            length,
            temperature,
            decoding,
        )
        return said.token[0]

    def speak(state, observation, key):
        del state  # a policy sees observations only
        response = act(observation, key)
        return response, p.env.vocabulary.decode(response)

    return speak


def person(env: envs.Environment, console: Console) -> Speaker:
    """Whoever sits at the terminal. `help` and `quit` are not steps."""

    def act(state, observation, key):
        del state, observation, key
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
                return env.parse(text), text

    return act


def play(
    env: envs.Environment,
    task: envs.Task,
    speak: Speaker,
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
        step_key = jax.random.fold_in(policy_key, num_steps)
        said = speak(state, observation, step_key)
        if said is None:
            console.print("stopped", style="yellow")
            return False
        response, words = said
        if spectator:
            console.print(Text(f"> {words}", style="bold cyan"))
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
    """Task number `index` of a panel; stops if there is none."""
    if panel not in env.panels:
        entry.stop(f"--panel={panel} is not one of {', '.join(env.panels)}")
    tasks = env.panel(panel)
    size = jax.tree.leaves(tasks)[0].shape[0]
    if not 0 <= index < size:
        entry.stop(f"--index={index} is not in 0 … {size - 1} (panel {panel!r})")
    return jax.tree.map(lambda x: x[index], tasks)


def speaker() -> tuple[envs.Environment, Speaker | None]:
    """(environment, who speaks in it; None for a person), as the flags say."""
    policy = POLICY.value
    known = policy in (*SCRIPTED, "human")
    if NOISE.value and policy != "expert":
        entry.stop(f"--noise={NOISE.value} is for --policy=expert only")
    _check_flags(known)
    if not known:
        return _of_run(pathlib.Path(policy))
    if CONFIG.value is None:
        entry.stop("--config is missing; give --config=configs/household.py")
    config = CONFIG.value
    settings.check(config)
    env = programs.environment(config)
    if policy == "human":
        return env, None
    return env, scripted(env, 1.0 if policy == "random" else NOISE.value)


def _check_flags(known: bool) -> None:
    """Stops for a flag that has no effect; `known` is whether no run plays."""
    policy = POLICY.value
    if known and (DECODING.value or CHECKPOINT.value != "latest"):
        entry.stop(f"--decoding and --checkpoint are for a run, not for {policy}")
    if policy == "human" and SEED.value is not None:
        entry.stop(f"--seed={SEED.value}: a person draws nothing; leave it out")


def _of_run(workdir: pathlib.Path) -> tuple[envs.Environment, Speaker]:
    if CONFIG.value is not None:
        entry.stop(f"--policy={workdir} brings its own settings; leave --config out")
    if not workdir.is_dir():
        entry.stop(
            f"--policy={workdir} is no folder of a run, nor one of "
            f"{', '.join(SCRIPTED)}, human"
        )
    p, which, decoding = _programs(workdir)
    return p.env, trained(p, workdir, which, decoding)


def _programs(workdir: pathlib.Path) -> tuple[programs.Programs, str, Decoding]:
    """(programs, which checkpoint, decoding) of a run, as the flags say."""
    if CONFIG.value is not None:
        entry.stop(f"--policy={workdir} brings its own settings; leave --config out")
    config, record = run_record.load(workdir)
    config.devices = 1  # one episode
    p = assembly.build(config)
    run_record.check_environment(record, p.env.version)
    decoding = DECODING.value or config.eval.decoding
    if decoding == "greedy" and SEED.value is not None:
        entry.stop(f"--seed={SEED.value}: greedy decoding draws nothing; leave it out")
    return p, CHECKPOINT.value, decoding


def on_host(console: Console) -> bool:
    """Plays if the config or the run has a host family; False if it has not."""
    policy = POLICY.value
    known = policy in (*SCRIPTED, "human")
    if not known and not pathlib.Path(policy).is_dir():
        return False  # `speaker` says so
    config = CONFIG.value if known else run_record.load(pathlib.Path(policy))[0]
    if config is None or config.env.name not in hosts.names():
        return False
    if NOISE.value:
        entry.stop(f"--noise={NOISE.value}: {config.env.name}'s expert never strays")
    _check_flags(known)
    seed = SEED.value or 0
    if known:
        found = play_host.family(config)
        human = policy == "human"
        speak = play_host.scripted(policy, seed)
        if human:
            console.print(Text(found.instructions + "\nquit ends."))
            speak = play_host.person(console, config.env.tools)
    else:
        p, which, decoding = _programs(pathlib.Path(policy))
        found, params = p.env, restore(p, pathlib.Path(policy), which)[1].policy
        heat = p.config.rollout.temperature if decoding == "sampled" else 0.0
        speak = play_host.trained(p, params, heat, jax.random.key(seed))
    play_host.play(found, PANEL.value, INDEX.value, speak, console)
    return True


def main() -> None:
    console = Console(highlight=False)
    if on_host(console):
        return
    env, speak = speaker()
    task = task_of(env, PANEL.value, INDEX.value)
    console.print(
        f"{env.name} version {env.version}, panel {PANEL.value}, task {INDEX.value}",
        style="bold",
    )
    if speak is None:
        console.print(Text(env.instructions + "\nhelp shows this again, quit ends."))
    who = speak or person(env, console)
    key = jax.random.key(SEED.value or 0)
    play(env, task, who, key, console, spectator=speak is not None)


if __name__ == "__main__":
    entry.launch(main)
