"""Compiles a translated program and the run-time, and keeps both by what they were made of."""

import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from translator.program import translate

RUNTIME = Path(__file__).parent.parent / "runtime"
COMPILER = "g++"
FLAGS = (
    "-std=c++20",
    "-g1",  # lines for what ends a program; no more, or it takes twice as long
    "-O1",
    "-no-pie",  # addresses that addr2line understands
    "-fno-lifetime-dse",  # garbage is written into memory before its constructor runs
    "-ftrivial-auto-var-init=pattern",  # variables that MQL5 leaves as they are hold garbage
    "-Wno-multichar",
    "-Wno-stringop-overflow",
)
KEPT = 30 * 86_400
"""Seconds until a compiled file is removed; each change of a source leaves one behind."""
LIBRARIES = ("-lssl", "-lcrypto")


def cache_folder() -> Path:
    """Return where compiled files are kept: $MQL5_CACHE, or the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("MQL5_CACHE") or Path(base) / "mtnet-terminal")


def missing() -> str:
    """Return what a compilation lacks, as a sentence; "" = nothing."""
    if shutil.which(COMPILER) is None:
        return "No MQL5 program can be compiled without g++: apt-get install g++ libssl-dev."
    probe = [COMPILER, "-E", "-x", "c++", "-include", "openssl/ssl.h", os.devnull]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        return (
            "No MQL5 program can be compiled without OpenSSL's headers: apt-get install libssl-dev."
        )
    return ""


class Compiler:
    """g++ behind a cache: the key is the hash of all that goes in, the compiler included."""

    def __init__(self, folder: Path | None = None, flags: Sequence[str] = ()):
        self.folder = folder or cache_folder()
        self.flags = [*FLAGS, *flags, *shlex.split(os.environ.get("MQL5_FLAGS", ""))]

    @cached_property
    def headers(self) -> str:
        """The hash of what every compilation depends on."""
        version = subprocess.run([COMPILER, "--version"], capture_output=True, check=True).stdout
        content = [file.read_bytes() for file in sorted(RUNTIME.rglob("*.hpp"))]
        return digest(version, *content, *(each.encode() for each in self.flags))

    def program(self, source: Path, folders: Sequence[Path] = ()) -> Path:
        """Return the compiled program; raises SourceError and CalledProcessError."""
        text = translate(source, folders)
        objects = self.objects()
        key = digest(
            self.headers.encode(), text.encode(), *(each.name.encode() for each in objects)
        )
        with self.made(f"{source.stem}-{key}") as (path, missing):
            if missing:
                code = path.with_suffix(".cpp")
                code.write_text(text, encoding="utf-8")
                self.run("-o", path, *self.precompiled, code, *objects, *LIBRARIES)
        return self.folder / f"{source.stem}-{key}"

    def objects(self) -> list[Path]:
        assert self.precompiled  # before the threads ask for it
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(self.object, sorted(RUNTIME.rglob("*.cpp"))))

    def object(self, part: Path) -> Path:
        name = f"{part.stem}-{digest(self.headers.encode(), part.read_bytes())}.o"
        with self.made(name) as (path, missing):
            if missing:
                self.run("-c", "-o", path, *self.precompiled, part)
        return self.folder / name

    @property
    def precompiled(self) -> list[str]:
        """The options that let g++ take mql5.hpp from a precompiled header, which stands here."""
        folder = self.folder / f"headers-{self.headers}"
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{folder.name}/mql5.hpp.gch"
        with self.made(name) as (path, missing):
            if missing:
                header = folder / "mql5.hpp"
                header.write_text(f'#include "{RUNTIME / "mql5.hpp"}"\n', encoding="utf-8")
                self.run("-x", "c++-header", "-o", path, header)
        return ["-include", str(folder / "mql5.hpp"), "-I", str(RUNTIME)]

    def run(self, *arguments: object) -> None:
        subprocess.run([COMPILER, *self.flags, *map(str, arguments)], check=True)

    @contextmanager
    def made(self, name: str) -> Iterator[tuple[Path, bool]]:
        """Yield a path to write to and whether to; other processes wait, and see it whole."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / name
        with open(f"{path}.lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if path.exists():
                yield path, False
                return
            partial = path.with_name(f"{path.stem}.partial{path.suffix}")
            yield partial, True
            partial.rename(path)
            self.remove_old()

    def remove_old(self) -> None:
        for each in self.folder.iterdir():
            if each.is_file() and each.stat().st_mtime < time.time() - KEPT:
                each.unlink(missing_ok=True)


def digest(*parts: bytes) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part).digest())
    return whole.hexdigest()[:16]
