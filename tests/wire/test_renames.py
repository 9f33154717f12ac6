from __future__ import annotations

from vagus.wire.renames import MAX_COMPARED, suggest_renames


def test_a_single_pair_left_over_is_proposed_whatever_it_is_called() -> None:
    assert suggest_renames(["image"], ["zed"]) == {"zed": "image"}
    assert suggest_renames(["image", "depth"], ["zed"]) == {}
    assert suggest_renames(["left_cam", "right_cam"], ["right_camera", "left_camera"]) == {
        "left_camera": "left_cam",
        "right_camera": "right_cam",
    }


def test_however_many_names_there_are_few_are_compared() -> None:
    missing = [f"policy {number}" for number in range(MAX_COMPARED)] + ["wrist"]
    spare = [f"robot {number}" for number in range(MAX_COMPARED)] + ["wrist_cam"]
    assert "wrist_cam" not in suggest_renames(missing, spare)
    assert suggest_renames(missing[-2:], spare[-2:])["wrist_cam"] == "wrist"


def test_names_without_end_differ_in_their_beginnings() -> None:
    assert suggest_renames(["a" * 100_000, "b"], ["a" * 90_000, "c"]) == {
        "a" * 90_000: "a" * 100_000,
        "c": "b",
    }
