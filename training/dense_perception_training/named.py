"""Classes that recipes name: losses and transforms."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

Class = TypeVar('Class', bound=type)


class Named:
    """Dataclasses by the names that recipes have for them.

    :param what: what they are, in messages. :param error: what a wrong name or option raises.
    """

    def __init__(self, what: str, error: type[Exception]) -> None:
        self._what, self._error = what, error
        self.classes: dict[str, type] = {}
        """Name in a recipe -> class."""

    def register(self, name: str) -> Callable[[Class], Class]:
        """Decorator: make a class known to recipes under ``name``."""
        def add(cls: Class) -> Class:
            self.classes[name] = cls
            return cls
        return add

    def make(self, name: str, **options: Any) -> Any:
        """An instance by its name in a recipe; the lists of YAML become tuples.

        The error is raised for a name or an option that does not exist, or an option that is
        missing; its message says which there are.
        """
        if name not in self.classes:
            near = (difflib.get_close_matches(name, self.classes, n=3, cutoff=0.4)
                    or sorted(self.classes))
            raise self._error(f'unknown {self._what} "{name}"; did you mean {" or ".join(near)}?')
        known = [f.name for f in fields(self.classes[name])]
        for option in options:
            if option not in known:
                raise self._error(f'{self._what} "{name}" has no option "{option}"; it has '
                                  f'{", ".join(known) or "none"}')
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
        try:
            return self.classes[name](**values)
        except TypeError as error:
            raise self._error(f'{self._what} "{name}": {error}') from None
