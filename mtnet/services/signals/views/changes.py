"""
Changes of views by people and followers: each a function that runs in one transaction.

Blocking, for the thread of the journal. Each takes a `Workspace` first, and returns the entries of
the view that it led to.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from decimal import Decimal
from typing import Literal, NamedTuple

from mtnet.errors import WireError
from mtnet.services.signals.journal.transaction import Transaction
from mtnet.services.signals.model import Entry, State
from mtnet.services.signals.reports.equity import Bases
from mtnet.services.signals.views import store
from mtnet.services.signals.views.derivation import Derivation
from mtnet.services.signals.views.ledger import Key, Row, Target
from mtnet.services.signals.views.settings import ViewMode, ViewSettings
from mtnet.services.signals.views.transform import FLAT_SHOWN, Draft, Shown, Terms, View

MAX_VIEWS = 1_000
"""Views at most: a signal of a channel that all of them copy takes a tenth of a second then."""
Leftovers = Literal["refuse", "flatten", "leave-open"]
"""The fate of copies when their view ends: it does not end, they are closed, or they stay."""


class Workspace(NamedTuple):
    """
    The views and channels that a change works on.

    Attributes:
        transaction: returns that of a channel.
        state: returns what stands in a channel, before this change; None = there is none.
    """

    connection: sqlite3.Connection
    derivation: Derivation
    transaction: Callable[[str], Transaction]
    state: Callable[[str], State | None]

    def view(self, name: str) -> View:
        """
        Return a view.

        Raises:
            WireError: `channel`; there is none of this name.
        """
        stored = self.derivation.views.get(name)
        if stored is None:
            raise WireError("channel", f"There is no view {name}")
        return stored.view

    def store(self, name: str, drafts: Sequence[Draft], when: int) -> list[Entry]:
        """Set what a view says, also when that is nothing but its ledger."""
        return self.derivation.store(name, drafts, when, self.transaction(name))


def add(space: Workspace, name: str, settings: ViewSettings, terms: Terms) -> list[Entry]:
    """
    Make a view; what its sources hold is copied, or skipped, as `late_join` says.

    Raises:
        WireError: `channel`; the name is taken, a source is no channel, or there are too many.
            `field`; one of its accounts or networks has another view.
    """
    if name in space.derivation.views:
        raise WireError("channel", f"There is a view {name} already; edit it")
    state = space.state(name)
    if state is not None and any(each.volume for each in state.positions):
        raise WireError("channel", f"{name} is a channel that holds positions, and no view yet")
    if len(space.derivation.names) >= MAX_VIEWS:
        raise WireError("channel", f"There are {MAX_VIEWS} views, and this is one more")
    states = _sources(space, settings)
    space.derivation.aliases.assign(name, settings, space.derivation.names)
    stored = store.begin(name, settings)
    stored.view.seq = 0 if state is None else state.seq
    space.derivation.add(name, stored)
    drafts: list[Draft] = []
    for source, held in states.items():
        drafts += stored.view.join(source, _standing(held), terms)
    return space.store(name, drafts, terms.when)


def edit(
    space: Workspace, name: str, settings: ViewSettings, terms: Terms, apply: bool = False
) -> list[Entry]:
    """
    Change the settings of a view: they count for later openings.

    Args:
        apply: whether what is copied now is computed anew, too.

    Raises:
        WireError: `channel`; there is no such view, or a source is no channel. `denied`; a source
            is taken out, or added to a single one, while anything is copied, or `apply` while the
            view opens nothing. `field`, as `add`.
    """
    view = space.view(name)
    if apply:
        _check_applicable(view)
    states = _sources(space, settings)
    gone = set(view.numbers) - set(settings.sources)
    fresh = [source for source in settings.sources if source not in view.numbers]
    single = len(view.numbers) == 1 and fresh
    # What is less than the smallest lot now is copied, too, and grows under its old name.
    copies = view.shown or any(row.copied for row in view.rows.values())
    if (gone or single) and copies:
        raise WireError("denied", f"{name} copies something; flatten it before its sources change")
    space.derivation.aliases.assign(name, settings, space.derivation.names)
    stored = space.derivation.views[name]
    view.settings = settings
    for source in gone:
        view.forget(view.numbers.pop(source))
    drafts: list[Draft] = []
    for source in fresh:
        view.numbers[source] = stored.next
        stored.next += 1
        drafts += view.join(source, _standing(states[source]), terms)
    if apply:
        for source, state in states.items():
            drafts += view.recompute(source, _standing(state), terms)
    space.derivation.add(name, stored)
    return space.store(name, drafts, terms.when)


def diff(
    space: Workspace, name: str, settings: ViewSettings, terms: Terms
) -> list[tuple[Shown, Draft]]:
    """
    Return what `edit` with `apply` would change, each behind what is shown now.

    Raises:
        WireError: as `edit`.
    """
    view, states = deepcopy(space.view(name)), _sources(space, settings)
    view.settings = settings
    _check_applicable(view)
    shown = dict(view.shown)
    drafts = [
        draft
        for source, state in states.items()
        if source in view.numbers
        for draft in view.recompute(source, _standing(state), terms)
    ]
    return [(shown.get(draft.target, FLAT_SHOWN), draft) for draft in drafts]


def set_mode(space: Workspace, name: str, mode: ViewMode, when: int) -> list[Entry]:
    """
    Change the mode of a view.

    Raises:
        WireError: `channel`; there is no such view. `denied`; `monitor` while it copies anything.
    """
    view = space.view(name)
    if mode == "monitor" and view.mode != "monitor" and view.shown:
        raise WireError("denied", f"{name} copies something; flatten it before it only monitors")
    if mode == "on" and view.struck:
        # A person goes on with what is left.
        space.derivation.views[name].bases = None
    return space.store(name, view.set_mode(mode), when)


def flatten(space: Workspace, name: str, why: str, when: int) -> list[Entry]:
    """
    Close everything that a view copies; it opens nothing until it is resumed.

    Raises:
        WireError: `channel`; there is no such view.
    """
    return space.store(name, space.view(name).flatten(why), when)


def strike(
    space: Workspace, name: str, bases: Bases | None, why: str, then: str, when: int
) -> list[Entry]:
    """
    Note what losses are measured from; with a reason, open nothing more, or close everything.

    Args:
        why: the limit that was reached; empty = none was.
        then: `close_only` or `flatten`.
    """
    view = space.view(name)
    space.derivation.views[name].bases = bases
    drafts: list[Draft] = []
    if why and view.mode in ("on", "close_only"):
        drafts = view.flatten(why) if then == "flatten" else view.set_mode("close_only")
    view.struck = why or view.struck
    return space.store(name, drafts, when)


def release(
    space: Workspace, name: str, seq: int, target: Target, left: Decimal, why: str, when: int
) -> list[Entry]:
    """Take from the follower that a copy is gone, or smaller, though nobody told it."""
    return space.store(name, space.view(name).release(seq, target, left, why), when)


def renew(space: Workspace, source: str, when: int) -> list[Entry]:
    """
    Follow a channel as it is now, after its history was changed by hand; nothing opens.

    Its views close copies of positions that it holds no longer; new ones are late.
    """
    state = space.state(source)
    entries: list[Entry] = []
    for name in space.derivation.of(source):
        view = space.view(name)
        held = [] if state is None else _standing(state)
        drafts = view.follow(source, held, Terms(when, "the history of its source was changed"))
        entries += space.store(name, drafts, when)
    return entries


def remove(space: Workspace, name: str, leftovers: Leftovers, when: int) -> list[Entry]:
    """
    End a view; its channel and its entries stay.

    Raises:
        WireError: `channel`; there is no such view. `denied`; it copies something, or is what
            `main` means for somebody, who would copy another size without it.
    """
    view = space.view(name)
    settings = view.settings
    named = [*settings.accounts, *settings.networks]
    if named:
        options = " --accounts none" * bool(settings.accounts)
        options += " --networks none" * bool(settings.networks)
        text = f"{name} is `main` for {', '.join(named)}; first take that out, and decide what they"
        raise WireError("denied", f"{text} follow: `mtnet views edit {name}{options}`")
    if view.shown and leftovers == "refuse":
        text = f"{name} copies something: `mtnet views remove {name} --flatten` closes it"
        raise WireError("denied", f"{text}, `--leave-open` leaves it to its followers")
    drafts = view.flatten("the view was removed") if leftovers == "flatten" else []
    entries = space.store(name, drafts, when)
    space.derivation.remove(space.connection, name, space.transaction(name))
    return entries


def rows_of(space: Workspace, name: str) -> tuple[View, Mapping[Key, Row]]:
    """Return a view and its ledger, as they are now."""
    view = space.view(name)
    return view, dict(view.rows)


def _check_applicable(view: View) -> None:
    if view.mode != "on":
        text = f"{view.name} is {view.mode}; what it copies is computed anew while it is on"
        raise WireError("denied", text)


def _sources(space: Workspace, settings: ViewSettings) -> dict[str, State]:
    states = {}
    for source in settings.sources:
        if source in space.derivation.views:
            raise WireError("channel", f"{source} is a view, and a view has channels as sources")
        state = space.state(source)
        if state is None:
            raise WireError("channel", f"There is no channel {source}")
        states[source] = state
    return states


def _standing(state: State) -> list[Entry]:
    return [each for each in state.positions if each.volume]
