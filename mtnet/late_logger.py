"""A logger that is imported with its first line: Twisted's takes longer than most commands run."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twisted.logger import Logger


class LateLogger:
    """Descriptor: the `Logger` of Twisted of a class, for code that commands without it share."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._namespace = f"{owner.__module__}.{owner.__qualname__}"

    def __get__(self, instance: Any, owner: type) -> "Logger":
        from twisted.logger import Logger

        return Logger(self._namespace, owner if instance is None else instance)
