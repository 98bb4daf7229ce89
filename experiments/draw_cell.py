"""Draw README's picture of the LSTM cell: one step forward, and the two paths along which the gradient flows back.

python experiments/draw_cell.py      writes experiments/cell.png
"""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

FORWARD, CELL, HIDDEN = "#444444", "#c2410c", "#1d4ed8"
GATES = (
    ("f", 2.2, "forget gate\nwhat to keep"),
    ("i", 4.0, "input gate\nhow much to write"),
    ("g", 5.6, "candidate\nwhat to write"),
    ("o", 7.6, "output gate\nwhat to show"),
)


def arrow(axes: Axes, *points: tuple[float, float], color: str = FORWARD, width: float = 1.5, style: str = "-") -> None:
    """Draw a line through the points, with an arrowhead at the last."""
    x, y = zip(*points[:-1], strict=True) if len(points) > 2 else ((), ())
    axes.plot([*x], [*y], color=color, lw=width, ls=style, solid_capstyle="round")
    head = {"arrowstyle": "-|>", "color": color, "lw": width, "ls": style, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", points[-1], points[-2], arrowprops=head)


def circle(axes: Axes, x: float, y: float, sign: str) -> None:
    """Draw an operation on two arrays."""
    axes.text(x, y, sign, ha="center", va="center", fontsize=13, bbox={"boxstyle": "circle", "fc": "white", "lw": 1.5})


def draw(axes: Axes) -> None:
    """Draw the cell."""
    axes.add_patch(FancyBboxPatch((1, 0.9), 8.2, 4.7, boxstyle="round", fc="#f8fafc", ec="#94a3b8"))
    arrow(axes, (0.2, 5), (1.95, 5))  # c_{t-1}, along the top
    arrow(axes, (2.45, 5), (4.55, 5))
    arrow(axes, (5.05, 5), (9.9, 5))
    circle(axes, 2.2, 5, "×")
    circle(axes, 4.8, 5, "+")
    circle(axes, 4.8, 3.9, "×")
    circle(axes, 7.6, 3.2, "×")
    axes.text(7.6, 4.15, "φ", ha="center", va="center", fontsize=12, bbox={"boxstyle": "round", "fc": "white"})
    for name, x, meaning in GATES:
        label = "φ" if name == "g" else "σ"
        axes.text(
            x,
            2.2,
            f"${name} = {label}(z_{name})$",
            ha="center",
            va="center",
            fontsize=10,
            bbox={"boxstyle": "round", "fc": "#e2e8f0"},
        )
        axes.text(x, 0.35, meaning, ha="center", va="top", fontsize=8, color="#475569")
        arrow(axes, (x, 1.4), (x, 1.95))
    axes.plot([0.2, 7.6], [1.4, 1.4], color=FORWARD, lw=1.5)  # h_{t-1}, to all gates
    axes.text(6.6, 1.5, "$z = x_t W + h_{t-1} U + b$", ha="center", va="bottom", fontsize=8)
    arrow(axes, (2.2, 2.45), (2.2, 4.75))
    arrow(axes, (4.0, 2.45), (4.0, 3.9), (4.55, 3.9))
    arrow(axes, (5.6, 2.45), (5.6, 3.9), (5.05, 3.9))
    arrow(axes, (4.8, 4.15), (4.8, 4.75))
    arrow(axes, (7.6, 5), (7.6, 4.4))
    arrow(axes, (7.6, 3.9), (7.6, 3.45))
    arrow(axes, (7.6, 2.45), (7.6, 2.95))
    arrow(axes, (7.85, 3.2), (9.9, 3.2))
    arrow(axes, (1.2, 0.4), (1.2, 1.4))
    arrow(axes, (9.9, 5.3), (0.2, 5.3), color=CELL, width=3)
    arrow(axes, (9.9, 2.9), (8.5, 2.9), (8.5, 1.1), (0.2, 1.1), color=HIDDEN, width=2, style="--")
    for x, y, text in ((0.1, 5, "c_{t-1}"), (0.1, 1.4, "h_{t-1}")):
        axes.text(x, y, f"${text}$", ha="right", va="center", fontsize=12)
    for x, y, text in ((10, 5, "c_t"), (10, 3.2, "h_t = y_t")):
        axes.text(x, y, f"${text}$", ha="left", va="center", fontsize=12)
    axes.text(1.2, 0.25, "$x_t$", ha="center", va="top", fontsize=12)
    axes.text(
        5.1,
        6.0,
        "gradient through c: dc × f, no matrix; where f is near 1 it comes back unchanged",
        color=CELL,
        ha="center",
        fontsize=10,
    )
    axes.text(
        5.1,
        -0.6,
        "gradient through h: dz Uᵀ, a matrix and a slope at every step; it vanishes or explodes",
        color=HIDDEN,
        ha="center",
        fontsize=10,
    )
    axes.set(xlim=(-0.8, 11.2), ylim=(-0.9, 6.4))
    axes.set_axis_off()


def main() -> None:
    """Save the picture next to this file."""
    figure = Figure(figsize=(9, 5.2), facecolor="white")
    draw(figure.add_axes((0, 0, 1, 1)))
    path = Path(__file__).with_name("cell.png")
    figure.savefig(path, dpi=110)
    print(f"saved {path}")


if __name__ == "__main__":
    main()
