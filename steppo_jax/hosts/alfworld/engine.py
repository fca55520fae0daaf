"""One ALFWorld game in TextWorld's PDDL engine."""

from __future__ import annotations

from typing import Any

from steppo_jax.hosts.alfworld import expert, fast_engine, generator, official, package
from steppo_jax.hosts.commands import Opening, Path, Scene

GOAL = "UNKNOWN GOAL"  # stands in the package's grammar where the task is told
INTRO = "-= Welcome to TextWorld, ALFRED! =-"
LEFT_OUT = "help"  # of the admissible commands, as in the official code


class Engine:
    """The simulator."""

    def __init__(self, variant: str, fast: bool = True):
        package.logic()
        if fast:
            fast_engine.install()
        import textworld
        from alfworld.agents.environment.alfred_tw_env import AlfredDemangler
        from textworld.envs.pddl import PddlEnv

        wanted = textworld.EnvInfos(admissible_commands=True, won=True)
        self._inner = PddlEnv(wanted)
        # Gives things the names that the games call them by.
        self._env = AlfredDemangler(self._inner)
        self._variant = variant
        self._files: dict[str, list] = {}

    def start(self, panel: str, task: int) -> Opening:
        if self._variant == "official":
            if panel not in self._files:
                self._files[panel] = official.files(panel)
            return self.open(official.game(self._files[panel][task]))
        draw = 0
        while True:  # until a game can be solved; the generator gives up some day
            game, draw = generator.game(panel, task, draw)
            opening = self.open(game)
            if opening.golden_steps:
                return opening
            draw += 1

    def open(self, game: dict[str, Any]) -> Opening:
        """Starts a game of goal, task, PDDL and maybe a domain of its own."""
        domain, grammar = package.logic()
        self._env.load(
            {
                "pddl_domain": game.get("pddl_domain", domain),
                "pddl_problem": game["pddl_problem"],
                "grammar": grammar.replace(GOAL, game["task"]),
            }
        )
        state = self._env.reset()
        plan = expert.path(self.world(), game["goal"])
        self._path = Path(plan)
        seen = state.feedback.replace(INTRO, "").partition("Your task is to:")[0]
        return Opening(game["task"], self._scene(seen, state), len(plan))

    def world(self) -> expert.World:
        """Where everything is now."""
        names = {key: info.name for key, info in self._inner._entity_infos.items()}
        return expert.World(self._inner._pddl_state.facts, names)

    def act(self, command: str) -> Scene:
        self._path.heed(command)
        state, _, _ = self._env.step(command)
        return self._scene(state.feedback, state)

    def _scene(self, text: str, state) -> Scene:
        won = bool(state["won"])
        return Scene(
            text=" ".join(text.split()),
            commands=tuple(c for c in state["admissible_commands"] if c != LEFT_OUT),
            expert=self._path.next,
            reward=float(won),
            over=won,
            success=won,
            score=float(won),
        )
