"""smolagents, unchanged but for its base URL, as a harness of a gateway.

    pip install 'smolagents[openai]'
    python docs/examples/smolagents_agent.py --base_url=http://127.0.0.1:8100/v1

The agent has one tool and a sum to do; it is paid where its answer is right. It sends
stop texts and tools of its own; `own_sampling` false lets it say what it likes about
temperature.
"""

import argparse
import time

import openai
from smolagents import OpenAIServerModel, ToolCallingAgent, tool


@tool
def add(a: int, b: int) -> int:
    """Adds two numbers.

    Args:
        a: the first number.
        b: the second number.
    """
    return a + b


def opened(client: openai.OpenAI, task: str, group: str) -> str:
    body = {"task": task, "group": group, "own_sampling": False}
    while True:
        try:
            return client.post("/trajectories", body=body, cast_to=object)["id"]
        except (openai.RateLimitError, openai.InternalServerError) as error:
            time.sleep(float(error.response.headers.get("retry-after", 1)))


def main() -> None:
    flags = argparse.ArgumentParser()
    flags.add_argument("--base_url", default="http://127.0.0.1:8100/v1")
    flags.add_argument("--token", default="none")
    flags.add_argument("--episodes", type=int, default=4)
    flags.add_argument("--group_size", type=int, default=4)
    flags.add_argument("--max_steps", type=int, default=2)
    given = flags.parse_args()
    client = openai.OpenAI(base_url=given.base_url, api_key=given.token)
    for n in range(given.episodes):
        group = n // given.group_size
        task = f"What is {group + 2} plus 3? Use the tool."
        name = opened(client, task, f"sum-{group}")
        where = f"{given.base_url}/trajectories/{name}"
        model = OpenAIServerModel("policy", api_base=where, api_key=given.token)
        agent = ToolCallingAgent([add], model, verbosity_level=0)
        try:
            said = agent.run(task, max_steps=given.max_steps)
        except Exception as error:  # an agent that gives up has lost, not failed
            said = f"{type(error).__name__}: {str(error)[:200]}"
        right = str(said).strip() == str(group + 5)
        held = client.get(f"/trajectories/{name}", cast_to=object)
        if held["steps"]:
            end = {"end": "terminated", "reward": float(right)}
            end["outcome"] = {"success": float(right)}
            client.post(f"/trajectories/{name}/close", body=end, cast_to=object)
        else:
            client.post(f"/trajectories/{name}/abandon", body={}, cast_to=object)
        print(f"episode {n}  steps {held['steps']}  {str(said)[:70]!r}", flush=True)


if __name__ == "__main__":
    main()
