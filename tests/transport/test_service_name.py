from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vagus.errors import ConfigError
from vagus.transport.keys import ServiceKey
from vagus.transport.service_name import ServiceName

names = st.text(st.sampled_from("aé -./:_0"), min_size=1, max_size=12) | st.sampled_from(
    ("org/my-act", "/home/me/my policy.py:wave", "act-0123abcd", "cell 3/left", "refs/pr/1")
)


@given(names, names, names, st.sets(st.builds(ServiceKey.of, names, names, names), max_size=3))
def test_a_service_is_found_by_what_is_printed_of_it(
    model: str, revision: str, name: str, others: set[ServiceKey]
) -> None:
    key = ServiceKey.of(model, revision, name)
    assert ServiceName.of(key.text).among({key, *others}) == (key,)


@given(names, names, names)
def test_a_service_is_found_by_the_names_that_it_was_started_with(
    model: str, revision: str, name: str
) -> None:
    typed = f"{model}/{revision}/{name}"
    assume(typed.strip("/"))
    key = ServiceKey.of(model, revision, name)
    assert ServiceName.of(typed).among({key}) == (key,)


@given(names)
def test_what_is_not_named_is_the_default(model: str) -> None:
    assume(model.strip("/"))
    key = ServiceKey.of(model, "main", "default")
    for typed in (model, f"{model}/main", f"{model}/main/default", f"{key.model}/main"):
        assert ServiceName.of(typed).among({key}) == (key,)


@given(names, names, names)
def test_another_service_is_not_found(model: str, revision: str, name: str) -> None:
    other = ServiceKey.of("other", "v9", "lab")
    assume(ServiceKey.of(model, revision, name) != other)
    assume("other" not in model)
    typed = f"{model}/{revision}/{name}"
    assume(typed.strip("/"))
    assert ServiceName.of(typed).among({other}) == ()


def test_two_readings_that_are_both_there_are_both_told() -> None:
    one, other = ServiceKey.of("org/act", "main", "cam"), ServiceKey.of("org", "act", "main/cam")
    assert set(ServiceName.of("org/act/main/cam").among({one, other})) == {one, other}
    assert ServiceName.of(one.text).among({one, other}) == (one,)


@pytest.mark.parametrize("text", ["", "/", "///", "a" * 2000, "a/" * 40 + "a"])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"policy\.service: wanted model/revision/name"):
        ServiceName.of(text, setting="policy.service")
