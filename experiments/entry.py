"""The shared door of all entry points: flags in, one clear line out if they are wrong.

What a person can put right (an unknown field, a wrong type, an impossible
combination, a folder of another run …) is one line on stderr and exit code 2.
Anything else is a defect and keeps its traceback.
"""

from __future__ import annotations

import pathlib
import re
import sys
from collections.abc import Callable
from typing import NoReturn

from absl import app, flags, logging
from ml_collections import config_flags

from experiments import help_text
from steppo_jax import errors, methods, settings
from steppo_jax.errors import Refused

OVERRIDE = re.compile(r"--?(no)?config\.(?P<name>[^=]+)(=(?P<text>.*))?", re.DOTALL)


class _OrNone(flags.ArgumentParser):
    """Reads a field's type as `settings` does, so that `None` can be given."""

    def __init__(self, kind: type):
        self.kind = kind

    def parse(self, argument):
        if not isinstance(argument, str):
            return argument
        return settings.parse(self.kind, argument)

    def flag_type(self) -> str:
        return self.kind.__name__


flags.disclaim_key_flags()  # what is defined here belongs to the caller's --help
for _kind in (int, float, bool, str):
    config_flags.register_flag_parser_for_type(_kind, _OrNone(_kind))


def define_config() -> flags.FlagHolder:
    """The --config flag with its --config.FIELD=VALUE overrides; the tree is locked."""
    return config_flags.DEFINE_config_file(
        "config",
        help_string="FILE.py:METHOD[,smoke][,FIELD=VALUE …]",
        lock_config=True,
    )


def define_workdir() -> flags.FlagHolder:
    """The --workdir flag."""
    return flags.DEFINE_string("workdir", None, "DIR, the folder of the run.")


def check_arguments(arguments: list[str]) -> None:
    """Raises Refused for overrides that name no field, or whose text is no value."""
    for place, argument in enumerate(arguments):
        if argument in ("--config", "-config") and place + 1 < len(arguments):
            _check_file(arguments[place + 1])
        elif argument.startswith(("--config=", "-config=")):
            _check_file(argument.partition("=")[2])
        found = OVERRIDE.fullmatch(argument)
        if not found:
            continue
        if found["name"] == "preset":
            raise settings.ConfigError(
                "config.preset is set by the configuration file; "
                "write --config=FILE.py:METHOD"
            )
        if found["text"] is None:  # --config.x VALUE, --config.x or --noconfig.x
            settings.find(found["name"])
        else:
            settings.update(settings.tree(), found["name"], found["text"])


def _check_file(argument: str) -> None:
    path = argument.partition(":")[0]
    if not pathlib.Path(path).is_file():
        raise settings.ConfigError(
            f"--config={argument}: there is no file {path!r}; known methods for "
            f"configs/household.py:METHOD are {', '.join(methods.METHODS)}"
        )


def refusal(error: BaseException | None) -> Refused | None:
    """The Refused that `error` is or began with; config_flags wraps them in others."""
    found = None
    while error is not None:
        found = error if isinstance(error, Refused) else found
        error = error.__cause__ or error.__context__
    return found


def stop(message: str) -> NoReturn:
    """One line on stderr, exit code 2."""
    print("error: " + " ".join(message.split()), file=sys.stderr)
    sys.exit(2)


def _parse(arguments: list[str]) -> list[str]:
    if {"--help", "-help", "-h", "--helpshort"} & set(arguments):
        print(help_text.of_job())
        sys.exit(0)
    try:
        check_arguments(arguments[1:])
        left = flags.FLAGS(arguments)
    except (Refused, flags.Error) as error:
        found = refusal(error)
        if found is None and str(error).startswith("flag --config="):
            raise  # the configuration file itself is broken: show where
        stop(str(found or error))
    if left[1:]:
        stop(f"{left[1]!r} is not a flag; flags look like --workdir=DIR")
    return left


def launch(main: Callable[[], None], *required: str) -> None:
    """Parses the flags, insists on the `required` ones, runs `main`."""

    def guarded(_: list[str]) -> None:
        if not flags.FLAGS["verbosity"].present:  # absl starts with INFO
            logging.set_verbosity(logging.WARNING)
        for name in required:
            if not flags.FLAGS[name].present:
                stop(f"--{name} is missing; give --{name}={flags.FLAGS[name].help}")
        try:
            main()
        except Refused as error:
            stop(str(error))
        except OSError as error:
            said = errors.of_disk(error)
            if said is None:
                raise
            where = f" ({error.filename})" if error.filename else ""
            stop(
                f"{said}{where}; mend that and start again: a run goes on from its "
                "last checkpoint"
            )

    app.run(guarded, flags_parser=_parse)
