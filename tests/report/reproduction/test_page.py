import re
import subprocess
import sys
from dataclasses import replace

import pytest

from tests.support.benches import bench_of
from under20k.checking.findings import Finding
from under20k.errors import UserError
from under20k.recipe.named import MINIMAL, MINIMAL_PLUS, REGULARIZED, REGULARIZED_PLUS
from under20k.report.reproduction.assignment import SPECIFIED
from under20k.report.reproduction.comparison import comparison_table
from under20k.report.reproduction.page import reproduction_text, write_reproduction
from under20k.report.reproduction.target import ACCURACY, VERDICT, headline
from under20k.runs.bench.bench import Bench
from under20k.runs.run import Run

COMMAND = "under20k reproduce --runs-dir 'a b'"


VERDICTS = {
    name: [
        Finding("parameters", "< 20,000", "passed", count),
        Finding("dropout", "some", *dropout),
    ]
    for name, count, dropout in (
        ("regularized", "19,204", ("passed", "2")),
        ("minimal", "14,116", ("failed", "none")),
    )
}

# The minimal model misses the target by one image of 10,000 at its last epoch, and everywhere before.
MISSED = [*SPECIFIED["minimal"].epochs[:7], (0.9986, 0.9939)]


@pytest.fixture
def report(make_run, tmp_path):
    """Writes the report of given accuracies, one list a seed, and returns its Markdown and HTML."""

    def write(regularized=(SPECIFIED["regularized"].epochs,), minimal=(MISSED,)):
        benches = [
            Bench.of([make_run(recipe, accuracies, seed) for seed, accuracies in enumerate(seeds)])
            for recipe, seeds in ((REGULARIZED, regularized), (MINIMAL, minimal))
        ]
        page = write_reproduction(benches, VERDICTS, tmp_path / "report", COMMAND)
        assert page == tmp_path / "report" / "report.html"
        markdown = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
        # Figures that the page keeps on one line.
        return markdown, page.read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")

    return write


def tables(markdown: str, heading: str) -> list[list[list[str]]]:
    """The tables of the section called ``heading``, each as rows of cells, the header first."""
    section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", markdown, re.MULTILINE | re.DOTALL)
    assert section is not None
    found = re.findall(r"(?:^\|.*\n)+", section[1], re.MULTILINE)
    parsed = [
        [[cell.strip() for cell in line.split(" | ")] for line in table.replace("\n| ", "\n").splitlines()]
        for table in found
    ]
    return [[[cell.strip("| ") for cell in row] for row in [table[0], *table[2:]]] for table in parsed]


def measures(markdown: str, heading: str) -> dict[str, list[str]]:
    """The first table of a section, by its first column."""
    return {row[0]: row[1:] for row in tables(markdown, heading)[0]}


def test_every_epoch_stands_beside_the_assignments(report):
    regularized, minimal = tables(report()[0], "Epochs")
    stated = ["Assignment, training", "Assignment, validation"]
    assert regularized[0] == ["Epoch", "Learning rate", "Training", "Validation", *stated, "Note"]
    for table, ours, theirs in (
        (regularized, SPECIFIED["regularized"].epochs, SPECIFIED["regularized"].epochs),
        (minimal, MISSED, SPECIFIED["minimal"].epochs),
    ):
        assert len(table) == len(ours) + 1
        for epoch, row in enumerate(table[1:], 1):
            assert row[:2] == [str(epoch), "0.1" if epoch < 7 else "0.01"]
            figures = [*ours[epoch - 1], *theirs[epoch - 1]]
            assert row[2:6] == [f"{figure:.2%}" for figure in figures]
            assert ("learning rate drop" in row[6]) == (epoch == 7)
    assert regularized[12][6] == "first ≥ 99.40%"
    assert not any("first" in row[6] for row in minimal[1:])


def test_the_comparison_agrees_with_the_runs(report):
    measured = measures(report()[0], "Model comparison")
    assert measured == {
        "Measure": ["regularized", "assignment", "minimal", "assignment"],
        "Parameters": ["19,204", "19,204", "14,116", "14,116"],
        "Fraction of the 20,000 limit": ["96.0%", "96.0%", "70.6%", "70.6%"],
        "Seeds": ["1", "1", "1", "1"],
        "Epochs": ["12", "12", "8", "8"],
        "First epoch ≥ 99.40%": ["12", "12", "none", "8"],
        "Last-epoch validation accuracy": ["99.40%", "99.40%", "99.39%", "99.41%"],
        "≥ 99.40% at the last epoch": ["✓ yes", "✓ yes", "✗ no", "✓ yes"],
        "Best-epoch validation (selected, not the result)": ["99.40%", "–", "99.39%", "–"],
        "Last-epoch training accuracy": ["99.74%", "99.74%", "99.86%", "99.85%"],
        "Training − validation, points": ["+0.34", "+0.34", "+0.47", "+0.44"],
        "Seconds per training": ["138.0", "–", "92.0", "–"],
    }


def test_the_insights_agree_with_the_runs(report):
    measured = measures(report()[0], "Insights")
    assert measured["First epoch at a lower learning rate"] == ["7"] * 4
    assert measured["Validation before the drop"] == ["98.82%", "98.82%", "99.02%", "99.02%"]
    assert measured["Validation after the drop"] == ["99.31%", "99.31%", "99.37%", "99.37%"]
    assert measured["Change at the drop, points"] == ["+0.49", "+0.49", "+0.35", "+0.35"]
    assert measured["Training − validation at the last epoch, points"] == ["+0.34", "+0.34", "+0.47", "+0.44"]
    assert measured["Fully connected layer on the same maps"] == ["2,530", "–", "2,170", "–"]
    assert measured["Parameters that global average pooling saves"] == [
        "0",
        "about 2,400",
        "0",
        "about 2,400",
    ]


def test_who_reaches_the_target_comes_first(report):
    markdown, page = report()
    for text in (markdown, page):
        assert (
            "1 of 2 recipes reaches 99.40% validation accuracy at the last epoch, one seed each; minimal "
            "misses it."
        ) in text
        verdicts = [text.index(sign) for sign in ("✓ reached", "✗ missed")]
        assert text.index("1 of 2 recipes") < min(verdicts)
        assert max(verdicts) < min(text.index("regularized: 19,204"), text.index("Requirements"))
    lead = markdown.split("## ")[0]
    assert re.search(r"^\| regularized .* 99.40% \| +✓ reached \|", lead, re.MULTILINE)
    assert re.search(r"^\| minimal .* 99.39% \| +✗ missed \|", lead, re.MULTILINE)
    assert lead.index("✗ missed") < lead.index("Training and validation accuracy by epoch")


def test_the_headline_counts_recipes():
    good, bad = 0.9941, 0.9939

    def line(*last: float) -> str:
        recipes = (REGULARIZED, MINIMAL, REGULARIZED_PLUS)
        return headline([bench_of([value], recipe) for recipe, value in zip(recipes, last, strict=False)])

    end = "99.40% validation accuracy at the last epoch, one seed each"
    assert line(good, good, good) == f"All 3 recipes reach {end}."
    assert line(bad, bad, bad) == f"None of the 3 recipes reaches {end}."
    assert line(good, bad, good) == f"2 of 3 recipes reach {end}; minimal misses it."
    assert line(bad, bad, good) == f"1 of 3 recipes reaches {end}; regularized and minimal miss it."
    assert line(good) == f"regularized reaches {end.removesuffix(' each')}."
    assert line(bad) == f"regularized misses {end.removesuffix(' each')}."


def test_who_reaches_the_target_over_seeds(make_run, tmp_path):
    """Accuracies made up: the p-values are those of t = 3.464 and 1.732 with two degrees of freedom."""
    benches = []
    for recipe, last in (
        (REGULARIZED, (0.9941, 0.9942, 0.9943)),
        (MINIMAL, (0.9938, 0.9939, 0.9942)),
        (REGULARIZED_PLUS, (0.9940, 0.9941, 0.9942)),
        (MINIMAL_PLUS, (0.9940, 0.9940, 0.9940)),
    ):
        epochs = [[(0.99, 0.99)] * (recipe.epochs - 1) + [(0.999, value)] for value in last]
        benches.append(Bench.of([make_run(recipe, of_seed, seed) for seed, of_seed in enumerate(epochs)]))
    page = write_reproduction(benches, {}, tmp_path / "report", COMMAND)
    text = page.with_suffix(".md").read_text(encoding="utf-8")
    assert (
        "3 of 4 recipes reach 99.40% validation accuracy at the last epoch, by the mean over 3 seeds; "
        "minimal misses it."
    ) in text
    assert (
        "At or above 99.40% at the last epoch, by the mean over 3 seeds: regularized (99.420 ± 0.010 %; 3 of "
        "3 seeds), regularized-plus (99.410 ± 0.010 %; 3 of 3 seeds) and minimal-plus (99.400 ± 0.000 %; 3 "
        "of 3 seeds). Below it: minimal (99.397 ± 0.021 %; 1 of 3 seeds)."
    ) in reproduction_text(benches)
    rows = {
        cells[0]: [cells[2], cells[3], *cells[6:]]
        for line in text.split("## ")[0].splitlines()
        if line.startswith("| ") and (cells := [cell.strip() for cell in line.strip("|").split("|")])
    }
    # t = 0.02 / (0.01 / √3) has p = (1 − t / √(t² + 2)) / 2 with two degrees of freedom.
    assert rows["regularized"] == ["✓ reached", "3 of 3", "3 of 3", "0.037", "99.40%"]
    assert rows["regularized-plus"] == ["✓ reached", "3 of 3", "3 of 3", "0.11", "–"]
    assert rows["minimal-plus"] == ["✓ reached", "3 of 3", "3 of 3", "1.0", "–"]
    assert rows["minimal"][:3] == ["✗ missed", "1 of 3", "1 of 3"]
    assert rows["minimal"][4] == "99.41%"
    for name in ("regularized", "minimal"):
        assert f"The architecture is that of {name}; the assignment trains it otherwise." in text
    assert len(tables(text, "Network structure")) == 2  # the same networks once
    assert text.count("Pooling, regularized and regularized-plus: ") == 1


def test_what_the_command_prints(make_run):
    benches = [
        Bench.of([make_run(recipe, [(0.99, 0.994)] * recipe.epochs)])
        for recipe in (REGULARIZED, MINIMAL, REGULARIZED_PLUS, MINIMAL_PLUS)
    ]
    printed = reproduction_text(benches)
    assert comparison_table(benches[:2]).text() in printed
    verdict, *tables = printed.splitlines()
    assert verdict.startswith("At or above 99.40% at the last epoch, one seed each: regularized (99.40%)")
    assert verdict.endswith("minimal-plus (99.40%). Below it: none.")
    assert max(map(len, tables)) < 200
    only = reproduction_text(benches[3:])
    assert [line.split()[0] for line in only.splitlines()[2:]][::2] == ["Recipe", "minimal-plus"]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_what_the_command_prints_fits_the_terminal(make_run, width):
    benches = [
        Bench.of([make_run(recipe, [(0.99, 0.994)] * recipe.epochs, seed) for seed in range(2)])
        for recipe in (REGULARIZED, MINIMAL, REGULARIZED_PLUS, MINIMAL_PLUS)
    ]
    lines = reproduction_text(benches, width).splitlines()
    assert max(map(len, lines)) <= width
    # Each recipe stays beside the assignment's figures of it.
    headings = [line.split() for line in lines if "assignment" in line and "Measured" not in line]
    assert [cells.count("assignment") for cells in headings] == ([1, 1] if width == 60 else [2])


def test_what_was_missed_is_called_missed(report):
    for text in report():
        assert (
            "minimal: 14,116 parameters, 8 epochs, seed 0: validation accuracy at the last epoch is 99.39%, "
            "below the target of 99.40%, which no epoch reached. The assignment reports 99.41% in epoch 8."
        ) in text
        assert (
            "reached first in epoch 12 by regularized and in no epoch by minimal. After epoch 8, the last "
            "that all trained, validation is 99.33% for regularized and 99.39% for minimal."
        ) in text
        assert "went from 98.82% to 99.31% (+0.49 points) in epoch 7 for regularized and from 99.02%" in text
        assert "is +0.34 points for regularized and +0.47 points for minimal." in text
        assert "minimal meets 1 of 2 requirements; missed: dropout." in text
        assert "regularized meets 2 of 2 requirements." in text


def test_what_was_reached_names_its_epoch(report):
    early = [*MISSED[:6], (0.9985, 0.9942), (0.9985, 0.9941)]
    text, _ = report(minimal=[early])
    assert (
        "validation accuracy at the last epoch is 99.41%, at or above the target of 99.40%, first reached in "
        "epoch 7."
    ) in text
    assert "which no epoch reached" not in text


def test_what_was_reached_and_lost_is_not_claimed(report):
    lost = [*MISSED[:6], (0.9985, 0.9942), (0.9985, 0.9938)]
    text, _ = report(minimal=[lost])
    assert (
        "is 99.38%, below the target of 99.40%, which epoch 7 had reached. The best epoch, which is not the "
        "result, was 7 with 99.42%."
    ) in text


def test_where_nobody_reached_it_no_sentence_says_so(report):
    low = [*SPECIFIED["regularized"].epochs[:11], (0.9974, 0.9939)]
    for text in report(regularized=[low]):
        assert "at or above the target" not in text
        assert "first ≥" not in text
        assert "reached first in no epoch by regularized and in no epoch by minimal" in text


def test_several_seeds(report):
    seeds = [
        MISSED,
        [*MISSED[:6], (0.998, 0.9941), (0.9988, 0.9937)],
        [*MISSED[:7], (0.9990, 0.9944)],
    ]
    markdown, page = report(regularized=[SPECIFIED["regularized"].epochs] * 3, minimal=seeds)
    # Last epochs 99.39, 99.37 and 99.44: mean 99.40, deviations −1, −3 and 4, so sd = √(26/2).
    claim = (
        "minimal: 14,116 parameters, 8 epochs, 3 seeds (0–2): validation accuracy at the last epoch is "
        "99.400 ± 0.036 % (mean ± sd; 99.37–99.44%). At or above 99.40%: 1 of 3 seeds at the last epoch, 2 "
        "at any epoch. The best epochs, selected by the accuracy they report and so not the result: "
        "99.413 ± 0.025 %."
    )
    assert claim in markdown
    assert claim in page
    measured = measures(markdown, "Model comparison")
    assert measured["Last-epoch validation accuracy, mean"][2] == "99.400 ± 0.036 %"
    assert measured["Lowest and highest seed"][2] == "99.37–99.44%"
    assert measured["Seeds ≥ 99.40% at the last epoch"] == ["3 of 3 seeds", "–", "1 of 3 seeds", "–"]
    assert measured["Seeds ≥ 99.40% at any epoch"] == ["3 of 3 seeds", "–", "2 of 3 seeds", "–"]
    assert measured["First epoch ≥ 99.40%"][2] == "7–8 (2 of 3 seeds)"
    _, table = tables(markdown, "Epochs")
    # Training 99.86, 99.88 and 99.90: mean 99.88, deviations −2, 0 and 2.
    assert table[8][:5] == ["8", "0.01", "99.880 ± 0.020 %", "99.400 ± 0.036 %", "99.37–99.44%"]
    assert measured["Training − validation, points"][2] == "+0.480"
    before, after = (
        measures(markdown, "Insights")[f"Validation {when} the drop"][2] for when in ("before", "after")
    )
    assert (before, after) == ("99.020 ± 0.000 %", "99.383 ± 0.023 %")
    assert measures(markdown, "Insights")["Change at the drop, points"][2] == "+0.363"
    assert table[8][5:] == ["99.85%", "99.41%", "first ≥ 99.40%: 1 seed"]
    assert table[7][7] == "learning rate drop, first ≥ 99.40%: 1 seed"


def test_the_page_needs_nothing_but_itself(report, outline_of):
    _, page = report()
    outline = outline_of(page)
    assert not re.search(r"https?:|url\(|@import|<script|<link", page)
    images = light_images(outline)
    assert [image["src"][:22] for image in images] == ["data:image/png;base64,"] * 2
    assert all("validation accuracy" in image["alt"] for image in images)
    targets = [attributes["href"] for tag, attributes in outline.tags if tag == "a"]
    ids = {f"#{attributes['id']}" for _, attributes in outline.tags if "id" in attributes}
    assert targets
    assert set(targets) <= ids


def light_images(outline) -> list[dict[str, str]]:
    """The attributes of the pictures, without their dark twins."""
    images = [attributes for tag, attributes in outline.tags if tag == "img"]
    return [attributes for attributes in images if attributes.get("class") != "dark"]


def texts_of(page: str, name: str) -> list[str]:
    """The texts of paragraphs of a class, without what screen readers alone are told."""
    found = re.findall(rf'<p class="{name}">(?:<span class="heard">.*?</span>)?(.*?)</p>', page)
    assert found
    return found


def test_the_twin_gives_the_same_text(report, outline_of):
    markdown, page = report()
    outline = outline_of(page)
    lead = f"## lead\n{markdown.split('## ')[0]}"
    shown = [
        *tables(lead, "lead"),
        *(table for title in outline.of("h2") for table in tables(markdown, title)),
    ]
    # The first is shown as cards.
    cards, *shown = shown
    facts = dict(zip(outline.of("dt"), outline.of("dd"), strict=True))
    headings, *recipes = cards
    columns = dict(zip(headings, zip(*recipes, strict=True), strict=True))
    assert list(columns[ACCURACY]) == texts_of(page, "figure")
    assert list(columns[VERDICT]) == texts_of(page, "verdict")
    assert facts["Parameters"] == columns["Parameters"][-1] == "14,116"
    assert len(shown) == sum(tag == "table" for tag, _ in outline.tags)
    # In a row's order: the HTML writes the same cells, but for those that are empty.
    cells = [cell for table in shown for row in table for cell in row if cell]
    assert [cell.replace("\\", "") for cell in cells] == [
        text for tag, text in outline.texts if tag in ("td", "th")
    ]
    assert COMMAND in outline.of("code")
    assert f"\n    {COMMAND}\n" in markdown


def test_the_pictures_lie_beside_the_markdown(report, tmp_path):
    markdown, _ = report()
    files = re.findall(r"(?:\]\(|src=\")([\w-]+\.png)[)\"]", markdown)
    assert files == ["curves-regularized.png", "curves-minimal.png"]
    for file in [*files, *re.findall(r"srcset=\"([\w-]+\.png)\"", markdown)]:
        assert (tmp_path / "report" / file).read_bytes().startswith(b"\x89PNG")


def test_the_same_runs_give_the_same_report(report, tmp_path):
    markdown, _ = report()
    runs = {"regularized": tmp_path / "runs" / "regularized-0", "minimal": tmp_path / "runs" / "minimal-0"}
    opened = [Bench.of([Run.open(path)]) for path in runs.values()]
    page = write_reproduction(opened, VERDICTS, tmp_path / "again", COMMAND)
    assert page.with_suffix(".md").read_text(encoding="utf-8") == markdown
    assert page.read_bytes() == (tmp_path / "report" / "report.html").read_bytes()


def test_hostile_names_are_text(make_run, tmp_path, hostile, outline_of):
    recipe = MINIMAL.with_changes(epochs=2)
    object.__setattr__(recipe, "name", hostile)
    run = make_run(recipe, [(0.97, 0.98), (0.98, 0.99)], processor=hostile)
    verdicts = {hostile: [Finding(hostile, hostile, "failed", hostile)]}
    page = write_reproduction([Bench.of([run])], verdicts, tmp_path / "report", hostile)
    outline = outline_of(page.read_text(encoding="utf-8"))
    assert {tag for tag, _ in outline.tags}.isdisjoint({"script", "i", "b"})
    assert len(light_images(outline)) == 1
    assert hostile in outline.of("code")
    assert hostile in outline.of("td")
    assert {path.parent for path in (tmp_path / "report").rglob("*")} == {tmp_path / "report"}


def test_a_changed_recipe_is_named(make_run, tmp_path):
    recipe = replace(MINIMAL.with_changes(epochs=2, learning_rate=0.2), name="minimal")
    run = make_run(recipe, [(0.97, 0.98), (0.98, 0.99)])
    page = write_reproduction([Bench.of([run])], {}, tmp_path / "report", COMMAND)
    text = page.with_suffix(".md").read_text(encoding="utf-8")
    assert "This is not the recipe minimal: it was trained with epochs=2 and learning_rate=0.2." in text
    assert "minimal: no requirement was checked." in text
    (table,) = tables(text, "Epochs")
    # The assignment's further epochs stay, beside nothing.
    assert table[3] == ["3", "", "", "", "99.10%", "98.97%", ""]
    assert "drop" not in str(table)


def test_readings_of_the_test_set_are_admitted(make_run, tmp_path):
    run = make_run(MINIMAL, MISSED)
    run.add_test_reading({"read": "2025-03-04", "correct": 9_900, "images": 10_000})
    page = write_reproduction([Bench.of([run])], VERDICTS, tmp_path / "report", COMMAND)
    text = page.with_suffix(".md").read_text(encoding="utf-8")
    assert measures(text, "Training configuration")["Test images"] == ["read 1 time", "not used"]


def test_runs_that_do_not_belong_together_are_refused(make_run, tmp_path):
    run = make_run(MINIMAL, MISSED)
    other = make_run(MINIMAL.with_changes(weight_decay=0.0), MISSED, seed=1)
    unfinished = make_run(MINIMAL, MISSED[:3], seed=2, finished=False)
    short = make_run(MINIMAL, MISSED[:3], seed=3)
    for runs, message in (
        ([], "no run"),
        ([run, other], "differs from .* in weight_decay"),
        ([unfinished], "is not finished"),
        ([short], r"lacks epochs of a finished run \(3 of 8\)"),
        ([run, run], "more than one run of seed 0"),
    ):
        with pytest.raises(UserError, match=message):
            Bench.of(runs)


def test_comparison_table_is_what_the_report_shows(report, tmp_path):
    markdown, _ = report()
    runs = [Run.open(tmp_path / "runs" / f"{name}-0") for name in ("regularized", "minimal")]
    table = comparison_table([Bench.of([run]) for run in runs])
    shown = tables(markdown, "Model comparison")[0]
    assert [list(table.header), *map(list, table.rows)] == shown


def test_the_assignments_figures_are_consistent():
    # What the assignment says in its summary follows from its own epochs.
    for name, parameters, first, last in (("regularized", 19_204, 12, 0.994), ("minimal", 14_116, 8, 0.9941)):
        specified = SPECIFIED[name]
        assert (specified.parameters, specified.first_epoch_at_target) == (parameters, first)
        assert len(specified.epochs) == first
        assert specified.last_validation == last
        assert [epoch for epoch, (_, value) in enumerate(specified.epochs, 1) if value >= 0.994] == [first]


def test_reports_load_no_torch():
    code = "import sys, under20k.report.reproduction.page as r; print(r.__name__, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "under20k.report.reproduction.page False\n"


def test_tables_load_no_matplotlib():
    code = "import sys, under20k.report.tables; print({'matplotlib', 'jinja2', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
