"""The error that users can mend."""


class StudyError(ValueError):
    """Something given to the study is wrong: a file, a parameter, a recipe.

    Its message names the thing, what was expected, what was found and what to do. The command line prints
    it without a traceback and ends with exit code 2.
    """
