"""
Draw `docs/fanout.svg`: what a delivery costs, from the tables of `bench/RESULTS.md`.

It needs matplotlib: `pip install matplotlib && python docs/fanout_picture.py`.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

RESULTS = Path(__file__).parent.parent / "bench" / "RESULTS.md"
PICTURE = Path(__file__).with_name("fanout.svg")
CHAPTER = "## Fan-out"
PANELS = {
    "One signal at a time": "CPU µs per delivery",
    "32 signals in flight": "deliveries/s, thousands",
}
"""Tables, by how the sentence above them begins, and the column of each that is shown."""
SERVERS = {
    "floor": ("C, which only sends", "#9a9a9a"),
    "nats": ("nats-server", "#c8553d"),
    "redis": ("redis", "#e0a458"),
    "mtnet": ("mtnet", "#2a6f97"),
}

Series = dict[str, list[tuple[int, float]]]
"""Points of followers and figures, by server."""


def tables() -> Iterator[tuple[str, list[str]]]:
    """Yield the lines of each table of the chapter, with the sentence above it."""
    chapter = RESULTS.read_text("utf-8").partition(CHAPTER)[2].partition("\n## ")[0]
    above, rows = "", []
    for line in [*chapter.splitlines(), ""]:
        if line.startswith("|"):
            rows.append(line)
        elif rows:
            yield above, rows
            above, rows = "", []
        elif line:
            above = line


def read(title: str) -> Series:
    """Return what a panel shows."""
    _, rows = next(each for each in tables() if each[0].startswith(title))
    head, _, *lines = ([cell.strip() for cell in row.strip("|").split("|")] for row in rows)
    column, found = head.index(PANELS[title]), Series()
    for cells in lines:
        followers, figure = int(cells[0].replace(",", "")), float(cells[column].split()[0])
        found.setdefault(cells[1], []).append((followers, figure))
    return found


def digest() -> str:
    """Return what tells whether the picture shows the tables as they are."""
    shown = repr([read(title) for title in PANELS])
    return hashlib.blake2b(shown.encode(), digest_size=8).hexdigest()


def draw() -> None:
    """Write the picture."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "mtnet", "font.size": 10})
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(PANELS), figsize=(9, 3.6), layout="constrained")
    for axes, (title, column) in zip(panels, PANELS.items(), strict=True):
        series = read(title)
        for name, (label, colour) in SERVERS.items():
            if name in series:
                xs, ys = zip(*series[name], strict=True)
                axes.plot(xs, ys, marker="o", label=label, color=colour)
        axes.set(title=title, xlabel="followers", ylabel=column, xscale="log", ylim=(0, None))
        axes.set_xticks(xs, [f"{x:,}" for x in xs], minor=False)
        axes.minorticks_off()
        axes.grid(axis="y", color="#e6e6e6")
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    figure.savefig(PICTURE, metadata={"Date": None, "Description": digest()})


if __name__ == "__main__":
    draw()
