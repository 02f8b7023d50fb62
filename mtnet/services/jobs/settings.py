"""The section `[jobs]`."""

from mtnet.config.schema import Count, Positive, Section
from mtnet.durations import DAY


class JobSettings(Section, frozen=True):
    """`[jobs]`."""

    enabled: bool = False
    """Whether clients can use jobs; while they are off, their verbs are unknown."""
    lease: Count = 30
    """Seconds for which a worker has a task without RENEW; a worker whose machine has died keeps
    a job from others for as long."""
    max_slots: Count = 64
    """Tasks that one WORK can have at once: with 6,000 bytes each they fit into the send queue."""
    max_open: Count = 100_000
    """Jobs that are neither done nor dead; each takes about 1 kB of memory beside its data."""
    memory: Count = 67_108_864
    """Characters of data in open jobs, and in answers that wait for an equal one; above it OFFER
    is refused."""
    max_queues: Count = 1_000
    """Queues at once; one without jobs, workers and readers is forgotten."""
    keep: Positive = 30.0 * DAY
    """Seconds for which a job is kept once it is done or dead, and its id is known."""
    retain: Count = 1_000_000
    """Ended jobs that are kept at most, the newest; with 200 bytes of data each about 700 MB."""
