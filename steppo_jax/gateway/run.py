"""A run that serves: the gateway's threads around the training loop."""

from __future__ import annotations

import contextlib
import pathlib
import signal
from collections.abc import Callable, Iterator

import jax
from ml_collections import ConfigDict

from steppo_jax import closing, report, settings, train
from steppo_jax.checkpoint import Checkpoints
from steppo_jax.engine import Engine
from steppo_jax.gateway import app, programs, restart, server
from steppo_jax.gateway.calls import Calls
from steppo_jax.gateway.limits import Limits
from steppo_jax.gateway.pool import Pool
from steppo_jax.gateway.programs import Interrupted, Source
from steppo_jax.gateway.serving import Serving
from steppo_jax.pages import run_page
from steppo_jax.text.programs import TextPrograms

FILE = pathlib.Path("gateway", "steps.jsonl")  # in a run's folder


def _print(text: str) -> None:
    print(text, flush=True)


def run(
    config: ConfigDict,
    workdir: pathlib.Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8100,
    token: str | None = None,
    max_body: int = 2**20,
    keep_record: bool = False,
    tell: Callable[[str], None] = _print,
) -> None:
    """Serves and trains as `config` says until its iterations are done.

    Raises what `train.run` raises, and ServerError for an address that cannot be
    served. SIGTERM while rows are awaited ends at once with 143: they are on disk.

    Args:
      keep_record: what is cut from the record stays beside it, in numbered files.
    """
    settings.check(config)
    server.check_address(host, token)
    stop: list[int] = []
    with contextlib.ExitStack() as stack:

        def rows_of(inner: TextPrograms) -> Source:
            calls = stack.enter_context(serving(inner, workdir, keep=keep_record))
            return Source(calls, lambda: bool(stop), lambda: saved(workdir))

        p = programs.build(config, rows_of)
        limits = Limits(body=max_body)
        made = app.build(p.rows.calls, limits, token)
        http = server.Server(made, host, port, limits)
        http.start()
        stack.callback(http.stop)
        tell(f"gateway at http://{_shown(host)}:{http.port}/v1")
        try:
            train.learn(p, workdir, stop=stop)
        except Interrupted:
            tell("SIGTERM: stopped while waiting for rows; what came is recorded")
            raise SystemExit(128 + signal.SIGTERM) from None
    report.write(workdir)
    run_page.write(workdir)
    closing.show(workdir)


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def saved(workdir: pathlib.Path) -> int:
    """The iteration of a run's oldest checkpoint; 0 before there is any.

    Not the newest: where that one is damaged, the run goes on from an older one.
    """
    folder = workdir / "checkpoints"
    if not folder.is_dir():
        return 0
    with contextlib.closing(Checkpoints(folder, read_only=True)) as found:
        return min(found.iterations(), default=0)


@contextlib.contextmanager
def serving(
    inner: TextPrograms, workdir: pathlib.Path, *, keep: bool = False
) -> Iterator[Calls]:
    """Everything that answers calls, with what the run's record tells."""
    config, lm = inner.config, inner.config.lm
    book, record = restart.remembered(workdir / FILE, saved(workdir), keep=keep)
    engine = Engine(
        inner.learner.policy,
        None,  # weights come with the first iteration
        inner.chat.stop,
        slots=lm.slots,
        longest=lm.max_prompt + lm.max_new,
        decode=inner.chat.decode,
    )
    engines = Serving(engine, config.gateway.calls)
    try:
        yield Calls(
            inner.chat,
            engines,
            Pool(book, record, programs.terms(config)),
            jax.random.key(config.seed),
            longest=lm.max_prompt,
            temperature=config.rollout.temperature,
            max_new=lm.max_new,
        )
    finally:
        engines.stop()
        record.close()
