from socket import socket
from typing import Any

def receive(
    port: socket, most: int, room: int, largest: int
) -> tuple[list[tuple[bytes, tuple[Any, ...]]], int]: ...
