"""Other weights, other code: another model. The same files elsewhere: the same."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from vagus.errors import ConfigError, PolicyError
from vagus.import_path import Option
from vagus.policies.callable import load_callable
from vagus.policies.own_files import Home
from vagus.policies.policy import Policy, Row
from vagus.types import Observation

HEAD = """
    import os, pickle, json, mmap
    from pathlib import Path
    import numpy as np
    from vagus.policies.declare import SpecTable, policy

    HERE = Path(__file__).parent
    def read(file):
        with file:
            return file.read()

    SPEC = dict(actions={"x": "m"}, state={"x": "m"}, horizon=2, rate_hz=10)
"""
READERS = {
    "numpy": 'np.load(HERE / "net.npy")',
    "numpy, mapped": 'np.load(HERE / "net.npy", mmap_mode="r")',
    "numpy, mapped to be written": 'np.memmap(HERE / "net.npy")[0]',
    "open": 'read(open(HERE / "net.npy", "rb"))',
    "a descriptor": 'read(os.fdopen(os.open(HERE / "net.npy", os.O_RDONLY), "rb"))',
    "pathlib": '(HERE / "net.npy").read_bytes()',
    "a map": 'mmap.mmap(os.open(HERE / "net.npy", os.O_RDONLY), 0, access=mmap.ACCESS_READ)',
    "pickle": 'pickle.loads((HERE / "net.npy").read_bytes()[:0] or pickle.dumps(1))'
    ' or open(HERE / "net.npy").close()',
    "the environment": 'np.load(os.environ["NET"])',
    "the working directory": 'np.load("net.npy")',
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a policy, outside of what the system calls temporary; its modules are forgotten later."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    home = tmp_path / "policy"
    home.mkdir()
    monkeypatch.chdir(home)
    monkeypatch.setenv("NET", str(home / "net.npy"))
    before, path = set(sys.modules), list(sys.path)
    train(home, 1.0)
    yield home
    for name in set(sys.modules) - before:
        del sys.modules[name]
    sys.path[:] = path


def train(folder: Path, weight: float, name: str = "net.npy") -> None:
    np.save(folder / name, np.array([weight]))


def write(folder: Path, body: str, name: str = "mine.py") -> str:
    (folder / name).write_text(textwrap.dedent(HEAD) + textwrap.dedent(body))
    return f"{folder / name}:Net"


def network(read: str) -> str:
    return f"""
    class Net:
        spec = SpecTable(**SPEC).to_spec()
        def __init__(self, **options):
            self.w = {read}
        def infer(self, rows):
            return []
    """


def digest(target: str, options: dict[str, Option] | None = None) -> str:
    return load_callable(target, options=options).model_hash


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_weights_that_a_class_reads_are_part_of_its_identity(folder: Path, read: str) -> None:
    target = write(folder, network(read))
    first = digest(target)
    assert digest(target) == first
    train(folder, 2.0)
    assert digest(target) != first
    train(folder, 1.0)
    assert digest(target) == first


def test_weights_that_a_module_reads_when_it_is_imported_count(folder: Path) -> None:
    body = 'W = np.load(HERE / "net.npy")\n@policy(**SPEC)\ndef Net(observation): return [W]\n'
    target = write(folder, body)
    first = digest(target)
    train(folder, 2.0)
    assert digest(target) != first


def ask(policy: Policy[object]) -> None:
    observation = Observation(np.zeros(1, np.float32), {}, "", 0)
    policy.infer([Row(policy.open_session(), observation, 0, None, 0, 0, 1)])


def test_weights_that_a_function_reads_on_its_first_call_count(folder: Path) -> None:
    body = (
        "@policy(**SPEC)\ndef Net(observation):\n"
        '    Net.w = getattr(Net, "w", None) or [np.load(HERE / "net.npy")]\n    return [Net.w[0]]\n'
    )
    target, hashes = write(folder, body), []
    for weight in (1.0, 1.0, 2.0):
        train(folder, weight)
        policy = load_callable(target)
        ask(policy)  # the warm-up does
        hashes.append(policy.model_hash)
    assert hashes[0] == hashes[1] != hashes[2]


def test_what_is_read_after_the_identity_was_told_does_not_change_it(folder: Path) -> None:
    policy = load_callable(write(folder, network('np.load(HERE / "net.npy")')))
    told = policy.model_hash
    train(folder, 2.0)
    np.load(folder / "net.npy")
    assert policy.model_hash == told


@pytest.mark.parametrize("is_folder", [False, True])
def test_an_option_that_names_a_file_or_a_folder_counts_with_its_contents(
    folder: Path, is_folder: bool
) -> None:
    target = write(folder, network("None"))  # read by a library that is not seen
    weights = folder.parent / "weights"
    (weights / "deep").mkdir(parents=True)
    train(weights / "deep", 1.0)
    options: dict[str, Option] = {"net": str(weights if is_folder else weights / "deep" / "net.npy"), "n": 1}
    first = digest(target, options)
    elsewhere = folder.parent / "elsewhere"
    shutil.copytree(weights, elsewhere)
    moved = {**options, "net": str(options["net"]).replace(str(weights), str(elsewhere))}
    assert digest(target, moved) == first
    assert digest(target, {**options, "n": 2}) != first
    train(weights / "deep", 2.0)
    assert digest(target, options) != first


def test_two_files_that_change_places_are_another_model(folder: Path) -> None:
    target = write(folder, network('[np.load(HERE / name) for name in ("a.npy", "b.npy")]'))
    train(folder, 1.0, "a.npy")
    train(folder, 2.0, "b.npy")
    first = digest(target)
    train(folder, 2.0, "a.npy")
    train(folder, 1.0, "b.npy")
    assert digest(target) != first


def test_a_copy_elsewhere_is_the_same_model(folder: Path) -> None:
    target = write(folder, network('np.load(HERE / "net.npy")'))
    first = digest(target)
    copy = folder.parent / "copy"
    shutil.copytree(folder, copy)
    assert digest(f"{copy / 'mine.py'}:Net") == first


def test_code_that_was_imported_by_a_link_counts_where_it_leads_to(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link to a folder, one to a file, and one that leads out of the folder."""
    (folder.parent / "to_folder").symlink_to(folder)
    (folder.parent / "to_file.py").symlink_to(folder / "there.py")
    (folder / "out.py").symlink_to(folder.parent / "elsewhere.py")
    for name in ("here.py", "there.py", "../elsewhere.py"):
        (folder / name).touch()
    for file in ("to_folder/here.py", "to_file.py", "policy/out.py", "policy/native.so"):
        module = ModuleType(f"imported_{file}")
        module.__file__ = str(folder.parent / file)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    names = [name for name, path in Home(folder).sources() if path == folder / name]
    assert names == ["here.py", "there.py"]


def test_the_code_that_it_imports_from_beside_itself_counts(folder: Path) -> None:
    (folder / "layers.py").write_text("GAIN = 1.0\n")
    target = write(folder, "from layers import GAIN\n" + textwrap.dedent(network("GAIN")))
    first = digest(target)
    (folder / "layers.py").write_text("GAIN = 2.0\n")
    del sys.modules["layers"]
    assert digest(target) != first


def test_a_package_counts_as_a_whole(folder: Path) -> None:
    package = folder / "mypackage" / "nets"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text("from mypackage import common\n")
    (package.parent / "common.py").write_text("GAIN = 1.0\n")
    (package / "__init__.py").write_text("")
    write(package, network("None"), "mine.py")
    first = digest("mypackage.nets.mine:Net")
    (package.parent / "common.py").write_text("GAIN = 2.0\n")
    for name in [name for name in sys.modules if name.startswith("mypackage")]:
        del sys.modules[name]
    assert digest("mypackage.nets.mine:Net") != first


@pytest.mark.parametrize(
    "noise",
    [
        '[(HERE / "run.log").write_text("x"), (HERE / "run.log").read_text()]',
        'Path("/etc/hostname").exists() and Path("/etc/hostname").read_text()',
        '(HERE / ".cache.json").exists() and (HERE / ".cache.json").read_text()',
        "os.listdir(HERE)",
        'Path("/proc/self/stat").read_text()',
    ],
)
def test_what_a_policy_writes_and_what_belongs_to_the_machine_does_not_count(
    folder: Path, noise: str
) -> None:
    (folder / ".cache.json").write_text("1")
    target = write(folder, network(noise))
    first = digest(target)
    (folder / ".cache.json").write_text("2")
    (folder / "run.log").write_text("another run")
    assert digest(target) == first


def test_in_temporary_folders_only_what_is_called_weights_counts(tmp_path: Path) -> None:
    home = Home(Path("/home/somebody/policy"))
    import tempfile  # noqa: PLC0415 - the fixture above changes its answer

    temporary = Path(tempfile.gettempdir())
    assert home.counts(temporary / "w.npy")
    assert not home.counts(temporary / "torchinductor_me" / "fx" / "entry")
    assert Home(tmp_path).counts(tmp_path / "anything.json")


@pytest.mark.parametrize(
    ("path", "counts"),
    [
        ("/home/somebody/policy/net.bin", True),
        ("/home/somebody/policy/config.yaml", True),
        ("/home/somebody/policy/code.py", False),  # as a source it does
        ("/home/somebody/policy/.git/HEAD", False),
        ("/home/somebody/policy/.venv/lib/python3.12/site-packages/scipy/data.npz", False),
        ("/data/models/net/config.json", True),
        ("/home/somebody/.cache/huggingface/hub/blobs/model.safetensors", True),
        ("/home/somebody/.cache/matplotlib/fontlist.json", False),
        ("/usr/share/models/net.onnx", True),
        ("/usr/share/zoneinfo/UTC", False),
        ("/etc/hosts", False),
        ("/dev/urandom", False),
        (f"{np.__file__}.npy", False),
    ],
)
def test_which_files_belong_to_a_policy(path: str, counts: bool) -> None:
    assert Home(Path("/home/somebody/policy")).counts(Path(path)) is counts


def test_a_policy_that_is_installed_owns_the_files_of_its_package() -> None:
    package = Path("/env/lib/python3.12/site-packages/mypolicy")
    assert Home(package).counts(package / "data" / "config.json")
    assert not Home(package).counts(package.parent / "other" / "net.npz")


def test_weights_replaced_while_they_are_loaded_are_told(folder: Path) -> None:
    policy = load_callable(write(folder, network('np.load(HERE / "net.npy")')))
    train(folder, 2.0, "new.npy")
    (folder / "new.npy").replace(folder / "net.npy")
    with pytest.raises(PolicyError, match=r"net\.npy was changed while the policy was loaded"):
        policy.model_hash  # noqa: B018 - asked for


DECLARED: list[Callable[[str], str]] = [
    lambda names: f"@policy(**SPEC, weights_files={names})\ndef Net(observation): return [[1.0]]\n",
    lambda names: network("np.load(HERE / 'other.npy')") + f"    weights_files = {names}\n",
]


@pytest.mark.parametrize("declare", DECLARED, ids=["function", "class"])
@pytest.mark.parametrize("names", ['["net.npy"]', '["deep"]', '"net.npy"', 'HERE / "net.npy"'])
def test_what_is_declared_counts_and_nothing_else(
    folder: Path, names: str, declare: Callable[[str], str]
) -> None:
    (folder / "deep").mkdir()
    train(folder / "deep", 1.0)
    train(folder, 1.0, "other.npy")
    if "@policy" in declare(names) and not names.startswith("["):
        names = f"[{names}]"
    target = write(folder, declare(names))
    first = digest(target)
    train(folder, 2.0, "other.npy")
    assert digest(target) == first
    train(folder, 2.0)
    train(folder / "deep", 2.0)
    assert digest(target) != first


def test_a_declared_file_that_is_not_there_is_told(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"weights_files.*got gone\.npy"):
        digest(write(folder, network("None") + '    weights_files = ["gone.npy"]\n'))
    with pytest.raises(ConfigError, match="a list of file names"):
        digest(write(folder, network("None") + "    weights_files = 3\n", "three.py"))


def test_a_class_may_say_its_own_identity(folder: Path) -> None:
    assert digest(write(folder, network("1") + '    model_hash = "mine"\n')) == "mine"


def test_who_reads_files_unseen_is_told_to_declare_them(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", np)
    digest(write(folder, network("None")))
    assert "weights_files" in caplog.text
