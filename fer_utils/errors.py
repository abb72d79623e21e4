"""The error that a user can correct."""


class StudyError(ValueError):
    """An input of the study is wrong: a file, a parameter or a recipe.

    The message names the thing, what was expected, what was found, and what to do. The command line
    prints it without a traceback and exits with code 2.
    """
