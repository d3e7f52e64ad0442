"""A bench of a user's own model beside the networks of the package."""

from dataclasses import replace

from tests.support.benches import bench_of
from tests.support.own_files import own
from under20k.deploy.card import cards
from under20k.recipe.named import MINIMAL
from under20k.report.bench import bench_document, bench_text
from under20k.report.beside import beside_table

OWN = replace(MINIMAL, name="Net", architecture=own())
SHARED = "record, track small"


def test_each_network_has_a_row_in_the_order_of_the_means():
    bench = bench_of([0.9940, 0.9944], OWN)
    table = beside_table([bench], ["Net"])
    rows = {row[0]: row for row in table.rows}
    assert rows.keys() == {"Net", *cards()}
    assert rows["Net"][1:] == ("✓ 99.420 ± 0.028 %", "2", "14,116", "8", "this bench")
    assert rows["minimal"][-1] == rows["regularized"][-1] == "the assignment's"
    assert rows["shared-weights"][-1] == SHARED
    assert rows["minimal-plus"][-1] == "recipe"
    means = [0.9942 if name == "Net" else cards()[name].validation.mean for name in rows]
    assert means == sorted(means, reverse=True)


def test_it_is_shown_for_models_of_ones_own_alone():
    own_bench, other = bench_of([0.99, 0.98], OWN), bench_of([0.99, 0.98])
    assert SHARED in bench_text(own_bench, None)
    assert SHARED in bench_text(other, own_bench)
    assert SHARED not in bench_text(other, None)
    assert SHARED in bench_document(own_bench).markdown()
