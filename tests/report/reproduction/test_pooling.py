from under20k.recipe.architecture import Architecture
from under20k.recipe.named import MINIMAL, REGULARIZED
from under20k.report.reproduction.pooling import HeadCost


def test_the_assignments_heads_save_nothing():
    # minimal: 24 maps of 3×3. A 3×3 convolution and a fully connected layer both hold 24·9·10 + 10.
    minimal = HeadCost.of(MINIMAL.architecture)
    assert (minimal.maps, minimal.averaged) == ((24, 3, 3), (10, 1, 1))
    assert (minimal.head, minimal.connected, minimal.saved) == (2170, 2170, 0)
    assert minimal.pooled_head == 24 * 10 + 10
    assert minimal.pooled_maps == (16, 7, 7)
    assert minimal.connected_after_pool == 16 * 7 * 7 * 10 + 10
    # Two convolutions with BatchNorm, and the head.
    assert minimal.after_pool == (20 * 16 * 9 + 20 + 40) + (24 * 20 * 9 + 24 + 48) + 2170

    regularized = HeadCost.of(REGULARIZED.architecture)
    assert (regularized.head, regularized.connected, regularized.saved) == (2530, 2530, 0)
    assert regularized.connected_after_pool == 20 * 7 * 7 * 10 + 10


def test_the_sentences_on_the_assignments_head():
    assert HeadCost.of(MINIMAL.architecture).sentences() == (
        "The last block outputs 24×3×3 maps. A fully connected layer on them has 2,170 parameters, this head "
        "2,170: global average pooling, here of 1×1 maps, saves none. The head's convolution already covers "
        "the whole map. Pooled first, with a 1×1 convolution after it, the head would have 250. A fully "
        "connected layer on the 16×7×7 maps of the last max pooling would have 7,850; the layers after that "
        "pooling have 9,502."
    )


def test_pooling_first_saves():
    cost = HeadCost.of(Architecture.parse("8vp,16,32v|lu"))
    # 28 → 26 → 13 → 13 → 11
    assert (cost.maps, cost.averaged) == ((32, 11, 11), (32, 11, 11))
    assert (cost.head, cost.connected) == (320, 32 * 121 * 10)
    assert f"global average pooling, here of 11×11 maps, saves {cost.saved:,}." in cost.sentences()
    assert "Pooled first" not in cost.sentences()
    assert "covers the whole map" not in cost.sentences()


def test_a_head_that_covers_the_map_of_a_network_without_pooling():
    cost = HeadCost.of(Architecture.parse("8/2,8r,16/2,16g,16k1r2|7v"))
    assert (cost.maps, cost.averaged, cost.pooled_maps) == ((16, 7, 7), (10, 1, 1), None)
    assert cost.head == cost.connected == 16 * 49 * 10 + 10
    assert "covers the whole map" in cost.sentences()


def test_without_a_pool_before_a_convolution_none_is_named():
    for text in ("8|3", "8p|3"):
        cost = HeadCost.of(Architecture.parse(text))
        assert cost.pooled_maps is None
        assert "max pooling" not in cost.sentences()
