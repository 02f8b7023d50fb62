"""
Fetch templates as the classic client does, which stops at the first short read.

Arguments: address, port, how often. Prints the hash of each answer, one a line.
"""

import socket
import sys
from hashlib import sha256

READ = 512
PATIENCE = 60.0


def fetch(host, port):
    received = b""
    with socket.create_connection((host, port), PATIENCE) as sock:
        while True:
            part = sock.recv(READ)
            received += part
            if len(part) < READ:
                return received


def main(host, port, times):
    for _ in range(int(times)):
        print(sha256(fetch(host, int(port))).hexdigest(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
