"""
Judge every `secure:` listener of a real daemon against Mozilla's profiles, with sslyze.

sslyze is installed into a virtual environment of its own in a temporary folder, since it wants
other versions of what mtnet uses. Run it from a development environment:
`python bench/tls_audit.py`.
"""

import argparse
import signal
import subprocess
import tempfile
import venv
from datetime import timedelta
from pathlib import Path

from tests.live.live_daemon import RealDaemon
from tests.tls_samples import Authority, Files, new_key

SERVICES = ("signals", "templates", "ticks", "web")
SECURE = "secure:0:interface=127.0.0.1"
KEYS = {"P-256": 0, "RSA 2048": 2048}
LIFE = timedelta(days=80)
"""Mozilla asks for certificates that live less than 90 days, and 366 in the older profile."""
TELLING = ("Compliant", "FAILED", "VULNERABLE", "Not vulnerable", "Supported curves", "ticket")
"""Words of the lines of sslyze's report that are shown."""


def install(folder: Path) -> Path:
    """Make a virtual environment with sslyze; return the program."""
    venv.create(folder, with_pip=True)
    subprocess.run([folder / "bin" / "pip", "install", "-q", "sslyze"], check=True)
    return folder / "bin" / "sslyze"


def judge(sslyze: Path, profile: str, ca: Path, port: int, whole: bool) -> bool:
    """Let sslyze judge one port; print what it says, and return whether it complies."""
    command = [str(sslyze), "--mozilla_config", profile, "--certinfo_ca_file", str(ca)]
    result = subprocess.run(
        [*command, f"localhost:{port}"], capture_output=True, text=True, timeout=300, check=False
    )
    verdict = result.stdout.partition("COMPLIANCE AGAINST")[2]
    complies = result.returncode == 0 and "OK - Compliant" in verdict
    if whole or not complies:
        print(result.stdout)
    else:
        shown = [line.strip() for line in result.stdout.splitlines() if _tells(line)]
        print("   ", "\n    ".join(dict.fromkeys(shown)))
    return complies


def _tells(line: str) -> bool:
    return "CA Store" not in line and any(word in line for word in TELLING)


def audit(sslyze: Path, profile: str, bits: int, whole: bool) -> list[str]:
    """Judge all listeners of a daemon; return the services that do not comply."""
    with tempfile.TemporaryDirectory() as folder:
        daemon = RealDaemon(Path(folder))
        daemon.data.mkdir(mode=0o700)
        files = Files(daemon.data / "tls", Authority("issuer", Authority()))
        files.issue("localhost", "127.0.0.1", key=new_key(bits), until=LIFE)
        listens = [f"--listen={name}={SECURE}" for name in SERVICES]
        daemon.start(*listens, f"--set=tls.profile={profile}")
        failed = []
        try:
            for name in SERVICES:
                print(f"  {name}:", flush=True)
                if not judge(sslyze, profile, files.ca, daemon.port(name, "TLS"), whole):
                    failed.append(name)
        finally:
            daemon.stop(signal.SIGKILL)
        return failed


def main() -> None:
    """Judge, and exit with status 1 where a listener does not comply."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sslyze", type=Path, help="one that is installed already")
    parser.add_argument("--whole", action="store_true", help="print sslyze's whole reports")
    options = parser.parse_args()
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        sslyze = options.sslyze or install(Path(folder))
        for profile in ("intermediate", "modern"):
            for kind, bits in KEYS.items():
                if profile == "modern" and bits:
                    continue  # Mozilla's modern profile has no RSA certificates
                print(f"{profile}, {kind}:")
                found = audit(sslyze, profile, bits, options.whole)
                failed += [f"{profile}, {kind}: {name}" for name in found]
    print("Not compliant: " + "; ".join(failed) if failed else "All listeners comply.")
    raise SystemExit(bool(failed))


if __name__ == "__main__":
    main()
