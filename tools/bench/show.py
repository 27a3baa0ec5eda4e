"""How a report is shown: a table, a comparison with an earlier one, a plot."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from .figure import Figure, Report


def print_table(console: Console, report: Report, earlier: Report | None = None) -> None:
    machine = report.machine
    title = f"{report.commit} on {machine['processor']}, {machine['cores']} cores, load {machine['load_average']:.1f}"
    table = Table(title=title, title_justify="left")
    table.add_column("leg")
    table.add_column("figure")
    for name in ("value", "floor", "ratio", "least .. most", "reach"):
        table.add_column(name, justify="right")
    before = {(figure.leg, figure.name): figure for figure in earlier.figures} if earlier else {}
    if earlier:
        table.add_column(f"against {earlier.commit}", justify="right")
    for figure in report.figures:
        row = [
            figure.leg,
            figure.name,
            f"{_number(figure.value)} {figure.unit}",
            f"{_number(figure.floor)} ({figure.floor_name})" if figure.floor_name else "",
            f"{figure.ratio:.2f}" if figure.floor_name else "",
            f"{_number(figure.least)} .. {_number(figure.most)}",
            _reach(figure),
        ]
        if earlier:
            row.append(_change(figure, before.get((figure.leg, figure.name))))
        table.add_row(*row)
    console.print(table)


def write_plot(report: Report, path: Path) -> None:
    """Ratios beside what they should reach, one bar a figure that has something to reach."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figures = [figure for figure in report.figures if figure.reach]
    height = 0.42 * len(figures) + 1.8
    drawing, axes = pyplot.subplots(figsize=(11, height), layout="constrained")
    for place, figure in enumerate(reversed(figures)):
        measured = figure.ratio if figure.floor_name else figure.value
        share = measured / figure.reach if figure.at_least else figure.reach / measured
        low, high = (bound / figure.reach if figure.at_least else figure.reach / bound for bound in _bounds(figure))
        colour = "#2a7f62" if figure.reached else "#c8553d"
        axes.barh(place, share, color=colour, height=0.62)
        axes.plot([low, high], [place, place], color="#222222", linewidth=1.2)
        axes.text(0.012, place, f"{_number(measured)}", va="center", color="white", fontsize=8, fontweight="bold")
    axes.axvline(1.0, color="#222222", linewidth=1.2)
    labels = [f"{figure.leg}: {figure.name}\n(reach {_reach(figure)})" for figure in reversed(figures)]
    axes.set_yticks(range(len(figures)), labels, fontsize=8)
    axes.set_xlim(0, 2)
    axes.set_xlabel("measured, as a share of what should be reached (1 = reached; the line spans all repeats)")
    axes.set_title(
        f"ringex {report.commit}, {report.machine['processor']}, {report.machine['cores']} cores", loc="left"
    )
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    drawing.savefig(path, dpi=130)
    pyplot.close(drawing)


def _bounds(figure: Figure) -> tuple[float, float]:
    return (max(figure.least, 1e-12), max(figure.most, 1e-12))


def _reach(figure: Figure) -> str:
    if not figure.reach:
        return ""
    sign = "≥" if figure.at_least else "≤"
    verdict = "" if figure.reached else "  ✗"
    return f"{sign} {_number(figure.reach)}{verdict}"


def _change(figure: Figure, before: Figure | None) -> str:
    if before is None:
        return "new"
    now, then = (
        (figure.ratio, before.ratio) if figure.floor_name and before.floor_name else (figure.value, before.value)
    )
    return f"{(now / then - 1) * 100:+.0f} %" if then else ""


def _number(value: float) -> str:
    if value >= 1_000_000:
        return f"{value / 1e6:.2f} M"
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"
