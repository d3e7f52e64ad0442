"""Badges for a README: what was found and on how many seeds, as SVG."""

from __future__ import annotations

from markupsafe import escape

from under20k.errors import shown
from under20k.report.words import plural, ranges
from under20k.runs.bench.bench import Bench
from under20k.runs.bench.statistics import reaches_target

# White on each of them reads well.
GREEN, RED, BLUE, GREY = "#2e7d32", "#c62828", "#1565c0", "#616161"
LABEL = "under20k"
LABEL_PX, MARGIN_PX = 66, 6
WIDE, NARROW = "%±mwM", " .,:;iljtf1()|"
WIDE_PX, NARROW_PX, OTHER_PX = 9.6, 3.8, 6.6  # Verdana's at 11 px, about


def badge_svg(text: str, colour: str, title: str) -> str:
    """Return a badge.

    Args:
        text: What it says, beside the product's name.
        colour: Behind the text.
        title: What a pointer over it shows, and a screen reader says.
    """
    # The text is given its length: fonts differ, and most systems lack the first one.
    length_px = round(sum(_width_px(sign) for sign in text))
    right_px = length_px + 2 * MARGIN_PX
    width_px = LABEL_PX + right_px
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width_px}" height="20" role="img" '
        f'aria-label="{escape(title)}"><title>{escape(title)}</title>'
        f'<clipPath id="round"><rect width="{width_px}" height="20" rx="3"/></clipPath>'
        f'<g clip-path="url(#round)"><rect width="{LABEL_PX}" height="20" fill="#444"/>'
        f'<rect x="{LABEL_PX}" width="{right_px}" height="20" fill="{colour}"/></g>'
        '<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">'
        f'<text x="{MARGIN_PX}" y="14" textLength="{LABEL_PX - 2 * MARGIN_PX}">{LABEL}</text>'
        f'<text x="{LABEL_PX + MARGIN_PX}" y="14" textLength="{length_px}">{escape(text)}</text></g></svg>\n'
    )


def bench_badge(bench: Bench) -> str:
    """Return the badge of a bench: green from the target on, blue below it, grey where it proves nothing."""
    accuracy, seeds = bench.summary.last, _seeds_text(bench)
    colour = GREEN if reaches_target(accuracy.mean) else BLUE
    if bench.single or bench.not_a_claim:
        colour = GREY
    size = f"{bench.recipe.architecture.parameters:,} parameters"
    title = (
        f"{shown(bench.recipe.name)}: {accuracy} validation accuracy at the last of "
        f"{plural(bench.recipe.epochs, 'epoch')}{'' if bench.single else ', mean ± sd'} {seeds}, {size}"
    )
    return badge_svg(f"{accuracy} {seeds}, {size}", colour, title)


def _seeds_text(bench: Bench) -> str:
    """Return ``over 10 seeds``, and whatever weakens that."""
    seeds = [seed.seed for seed in bench.seeds]
    if bench.single:
        return f"with one seed ({seeds[0]})"
    failed = f", {len(bench.failures)} failed" if bench.failures else ""
    return f"over {f'seeds {ranges(seeds)}' if bench.not_a_claim else plural(len(seeds), 'seed')}{failed}"


def _width_px(sign: str) -> float:
    return WIDE_PX if sign in WIDE else NARROW_PX if sign in NARROW else OTHER_PX
