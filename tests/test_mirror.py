"""Tests mirror src/under20k: a room's tests lie in its folder, each file named after a module or a topic."""

from tests.support import ROOT

TESTS, PACKAGE = ROOT / "tests", ROOT / "src" / "under20k"
TOPICS = {
    "checking": {"action", "cases", "fuzz", "students"},
    "checking/convert": {"limits", "reductions"},
    "checking/rules": {"corpus"},
    "checking/sandbox": {"hostile_models"},
    "checking/source": {"notebook"},
    "cli": {
        *("bad_input", "check_models", "damaged_runs", "encodings", "help", "interruption", "programs"),
        *("reproduce_own", "teachers", "widths"),
    },
    "data": {"search"},
    "deploy/draw": {
        "appearance",
        "drawing",
        "interface",
        *("page_images", "page_network", "page_operations", "page_segments"),
    },
    "deploy/export": {"own_softmax"},
    "engine": {"engine_state", "golden_bits", "planned_dropout", "rotation"},
    "recipe": {"affine", "dropout_masks", "recipe_json", "schedule"},
    "report": {"browser"},
    "report/reproduction": {"committed"},
    "runs": {"run_damage"},
    "runs/bench": {"pairs"},
    "runs/records": {"forgeries", "own_records", "same_figures"},
}
"""Files that concern several modules or a part of one. Add yours if no module has its name."""


def test_a_file_is_named_after_a_module_or_a_topic():
    topics: dict[str, set[str]] = {}
    for path in TESTS.rglob("test_*.py"):
        folder, name = path.relative_to(TESTS).parent, path.stem.removeprefix("test_")
        in_a_room = folder.parts and (PACKAGE / folder.parts[0]).is_dir()
        if in_a_room and not (PACKAGE / folder / f"{name}.py").is_file():
            topics.setdefault(folder.as_posix(), set()).add(name)
    assert topics == TOPICS


def test_every_room_has_a_folder_of_tests():
    rooms = {path.parent.relative_to(PACKAGE) for path in PACKAGE.glob("*/**/[a-z]*.py")}
    assert {room for room in rooms if not list((TESTS / room).glob("test_*.py"))} == set()
