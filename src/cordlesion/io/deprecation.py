"""Former names of arguments, which keep working with a warning (leaf module)."""

import functools
import warnings
from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")


def renamed_arguments(**names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function so that it takes arguments by their former names, too: ``former="present"``."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def renamed(*args: object, **given: object) -> R:
            for former in names.keys() & given.keys():
                message = f"{function.__name__}({former}=...) is deprecated; use {names[former]}=..."
                warnings.warn(message, DeprecationWarning, stacklevel=2)
                given[names[former]] = given.pop(former)
            return cast("Callable[..., R]", function)(*args, **given)

        return cast("Callable[P, R]", renamed)

    return decorate
