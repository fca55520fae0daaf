"""From the body of a call to what the engine is asked for, by stated rules.

Inside a trajectory the learner must know the distribution that was sampled from: what
differs from the run's own is refused, or ignored where the trajectory was opened with
`own_sampling` false. `max_tokens` is cut to the run's `lm.max_new`.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from steppo_jax.engine import Sampling
from steppo_jax.gateway import messages
from steppo_jax.gateway.errors import ApiError
from steppo_jax.gateway.speech import Form
from steppo_jax.gateway.wire import MODEL, ChatBody


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A call, understood."""

    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] | None
    form: Form
    sampling: Sampling
    max_new: int
    n: int
    seed: int | None
    stream: bool
    tell_usage: bool
    must_call: bool  # tool_choice=required, which nothing here enforces


def check_model(name: str) -> None:
    """Raises ApiError 404 for a model that is not here."""
    if name != MODEL:
        text = f"the model {name!r} does not exist; there is {MODEL!r}"
        raise ApiError(404, text, "model_not_found", "model")


def understand(body: ChatBody, temperature: float, max_new: int) -> Wanted:
    """What is asked for, by the run's numbers where nothing is said."""
    check_model(body.model)
    if body.max_tokens is not None and body.max_completion_tokens is not None:
        text = "give max_tokens or max_completion_tokens, not both"
        raise ApiError(400, text, "invalid_value", "max_tokens")
    most = body.max_completion_tokens or body.max_tokens or max_new
    tools = None
    if body.tools and body.tool_choice != "none":
        tools = [tool.model_dump(exclude_none=True) for tool in body.tools]
    stop = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
    said = body.temperature
    return Wanted(
        messages=[messages.plain(message) for message in body.messages],
        tools=tools,
        form=Form(tools is not None, stop, bool(body.logprobs)),
        sampling=Sampling(
            temperature=temperature if said is None else said,
            top_k=body.top_k or 0,
            top_p=1.0 if body.top_p is None else body.top_p,
        ),
        max_new=min(most, max_new),
        n=body.n or 1,
        seed=body.seed,
        stream=bool(body.stream),
        must_call=body.tool_choice == "required",
        tell_usage=bool(body.stream_options and body.stream_options.include_usage),
    )


def of_inference(wanted: Wanted) -> Wanted:
    """The same outside of a trajectory. Raises ApiError 400 where it cannot be."""
    if wanted.must_call:
        text = "tool_choice=required: a call cannot be enforced; give auto"
        raise ApiError(400, text, "invalid_value", "tool_choice")
    return wanted


def of_trajectory(wanted: Wanted, temperature: float, own_sampling: bool) -> Wanted:
    """The same as a step of a trajectory. Raises ApiError 400 where it cannot be."""
    if wanted.n != 1:
        text = f"n={wanted.n}: a step has one answer; open a trajectory for each"
        raise ApiError(400, text, "invalid_value", "n")
    trained = Sampling(temperature=temperature)
    if not own_sampling:
        return dataclasses.replace(wanted, sampling=trained, seed=None)
    differ = [
        (name, given, getattr(trained, name))
        for name, given in dataclasses.asdict(wanted.sampling).items()
        if given != getattr(trained, name)
    ]
    if wanted.seed is not None:
        differ.append(("seed", wanted.seed, "the run's own draws"))
    if wanted.must_call:
        differ.append(("tool_choice", "required", "auto"))
    if differ:
        name, given, mine = differ[0]
        text = (
            f"{name}={given}: steps are sampled as they are learned from, with {mine}; "
            "leave it out, or open the trajectory with own_sampling=false, which "
            "ignores what a call says of sampling"
        )
        raise ApiError(400, text, "not_the_trained_distribution", name)
    return wanted
