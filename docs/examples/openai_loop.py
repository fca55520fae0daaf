"""A plain `openai` client loop that plays TextWorldExpress through a gateway.

    pip install openai 'steppo_jax[textworld_express]'      # and Java 17
    python docs/examples/openai_loop.py --episodes=8 --base_url=http://127.0.0.1:8100/v1

Every group is one game played `--group_size` times (the run's rollout.group_size).
"""

import argparse
import time

import openai
from textworld_express import TextWorldExpressEnv

RULES = "You play a text game. Say one of the listed actions and nothing else."


def opened(client: openai.OpenAI, task: str, group: str) -> str:
    """A trajectory's own base URL; waits while the pool is full."""
    while True:
        try:
            made = client.post(
                "/trajectories", body={"task": task, "group": group}, cast_to=object
            )
            return f"{client.base_url}trajectories/{made['id']}"
        except (openai.RateLimitError, openai.InternalServerError) as error:
            time.sleep(float(error.response.headers.get("retry-after", 1)))


def play(client: openai.OpenAI, env, seed: int, group: str, most: int) -> float:
    """One episode; its final score."""
    _, seen = env.reset(seed=seed, gameFold="train", generateGoldPath=False)
    player = client.with_options(
        base_url=opened(client, seen["taskDescription"], group)
    )
    rules = {"role": "system", "content": RULES}
    score, over = 0.0, False
    for step in range(most):
        words = f"{seen['observation']}\nActions: {', '.join(seen['validActions'])}"
        answer = player.chat.completions.create(
            model="policy", messages=[rules, {"role": "user", "content": words}]
        )
        said = answer.choices[0].message.content.strip()
        _, _, over, seen = env.step(said)
        gained, score = seen["score"] - score, seen["score"]
        player.post("/reward", body={"reward": gained, "step": step}, cast_to=object)
        if over:
            break
    end = {"end": "terminated" if over else "truncated"}
    outcome = {"success": float(seen["tasksuccess"])}
    player.post("/close", body=end | {"outcome": outcome}, cast_to=object)
    return score


def main() -> None:
    flags = argparse.ArgumentParser()
    flags.add_argument("--base_url", default="http://127.0.0.1:8100/v1")
    flags.add_argument("--token", default="none")
    flags.add_argument("--game", default="coin")
    flags.add_argument("--episodes", type=int, default=8)
    flags.add_argument("--group_size", type=int, default=4)
    flags.add_argument("--max_steps", type=int, default=4)
    given = flags.parse_args()
    client = openai.OpenAI(base_url=given.base_url, api_key=given.token)
    env = TextWorldExpressEnv(envStepLimit=100)
    env.load(gameName=given.game, gameParams="")
    for n in range(given.episodes):
        group = n // given.group_size
        score = play(client, env, group, f"{given.game}-{group}", given.max_steps)
        print(f"episode {n}  group {group}  score {score:.2f}", flush=True)
    env.close()


if __name__ == "__main__":
    main()
