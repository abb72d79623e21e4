"""Options that an environment variable can give: FER_STUDY_PORT is --port, and so on."""

import argparse
import os


class CommandParser(argparse.ArgumentParser):
    """A parser of one command.

    Attributes:
        from_environment: whether environment variables give the options that are not typed.
    """

    from_environment = False

    def parse_known_args(self, args=None, namespace=None):
        """Parse as argparse does, after the variables have become the defaults."""
        if self.from_environment:
            for action in options_of(self):
                text = os.environ.get(variable_of(action))
                # An empty variable is one that is not set, as Docker Compose passes it. An empty
                # token would open the server, so it is refused later.
                if text or (text is not None and action.dest == "token"):
                    action.default = self._value(action, text)
        return super().parse_known_args(args, namespace)

    def _value(self, action: argparse.Action, text: str):
        parts = text.split(",") if isinstance(action.default, list | tuple) else [text]
        values = []
        for part in parts:
            try:
                value = action.type(part.strip()) if callable(action.type) else part.strip()
            except (ValueError, argparse.ArgumentTypeError) as problem:
                self.error(f"variable {variable_of(action)}: {problem}, found {part!r}.")
            if action.choices is not None and value not in action.choices:
                expected = ", ".join(map(str, action.choices))
                self.error(f"variable {variable_of(action)}: expected {expected}, found {part!r}.")
            values.append(value)
        return values if isinstance(action.default, list | tuple) else values[0]


def options_of(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Return the options of a parser, without --help."""
    return [each for each in parser._actions if each.option_strings and each.dest != "help"]


def variable_of(action: argparse.Action) -> str:
    """Return the environment variable of an option."""
    return "FER_STUDY_" + action.option_strings[-1].removeprefix("--").replace("-", "_").upper()
