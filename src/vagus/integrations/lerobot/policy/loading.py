"""Loading of a LeRobot checkpoint: a policy and its two pipelines, on one device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from lerobot.configs import PreTrainedConfig
from lerobot.policies.factory import get_policy_class, make_pre_post_processors
from lerobot.policies.pretrained import PreTrainedPolicy
from lerobot.processor import PolicyProcessorPipeline
from lerobot.utils.device_utils import is_torch_device_available
from lerobot.utils.import_utils import register_third_party_plugins
from safetensors import SafetensorError, safe_open

from vagus.errors import ConfigError, PolicyError, VagusError
from vagus.integrations.lerobot.policy.checkpoint import WEIGHTS, Checkpoint, Table, places_in, steps_of
from vagus.integrations.lerobot.policy.compiling import compile_network
from vagus.integrations.lerobot.policy.families import Family, family_of
from vagus.integrations.lerobot.policy.options import LeRobotOptions

__all__ = ["Loaded", "load", "out_of_memory"]

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

PROBES = 8
"""Tensors that are compared with the file after loading; some families go on without weights if it fails."""

MEMORY_WORDS = ("out of memory", "can't allocate memory", "not enough memory")


@dataclass(frozen=True, slots=True)
class Loaded:
    """Loaded policy with its pipelines.

    Attributes:
        policy: in evaluation mode.
        preprocessor: rows collated by us → batch of the policy.
        postprocessor: chunk in the policy's own space → chunk in the robot's units.
        device: where it runs.
        autocast: number format of its computation, where the family has no setting of its own.
        graphs_per_doubling: batch sizes that it is compiled for, as in the options; 0: it is not compiled.
    """

    policy: PreTrainedPolicy
    preprocessor: PolicyProcessorPipeline
    postprocessor: PolicyProcessorPipeline
    device: torch.device
    autocast: torch.dtype | None
    graphs_per_doubling: int = 0

    @property
    def is_compiled(self) -> bool:
        """Whether its network is compiled anew for every shape that it has not seen."""
        return self.graphs_per_doubling > 0

    def computing(self) -> AbstractContextManager[object]:
        """Return the context that inference runs in."""
        if self.autocast is None:
            return nullcontext()
        context: AbstractContextManager[object] = torch.autocast(self.device.type, dtype=self.autocast)
        return context


def load(checkpoint: Checkpoint, *, device: str, dtype: str, options: LeRobotOptions) -> Loaded:
    """Return the policy in `checkpoint`.

    Args:
        checkpoint: as read.
        device: e.g. "cuda:0"; "": that of the checkpoint where it is there, else the best one.
        dtype: one of `DTYPES`; "": that of the checkpoint.
        options: settings of this backend; a checkpoint may want to be compiled, too.

    Raises:
        ConfigError: a device, number format or package is not there, or the files do not fit each other.
        PolicyError: it does not fit into memory, or its weights are not those of the file.
    """
    register_third_party_plugins()
    family = family_of(checkpoint.policy_type)
    with _explained(checkpoint, {"config.json": checkpoint.settings}):
        config = _config(checkpoint, device)
        half = _set_dtype(config, dtype)
        is_compiled = options.compile or bool(getattr(config, "compile_model", False))
        if is_compiled:
            _set_compiled(config, family)
        policy = get_policy_class(config.type).from_pretrained(
            str(checkpoint.path), config=config, strict=True
        )
    _check_weights(checkpoint, policy)
    if is_compiled and family.compiled:
        compile_network(policy, family)
    with _explained(checkpoint, {"options.tokenizer": _tokenizers(checkpoint)}):
        pipelines = _pipelines(checkpoint, config, options.tokenizer, has_one_length=is_compiled)
    policy.eval()
    policy.reset()
    graphs = options.graphs_per_doubling if is_compiled else 0
    return Loaded(policy, *pipelines, torch.device(config.device), half, graphs)


def out_of_memory(error: BaseException) -> bool:
    """Return whether `error` says that there was no memory left."""
    is_ours = isinstance(error, (torch.OutOfMemoryError, MemoryError))
    return is_ours or (isinstance(error, RuntimeError) and any(word in str(error) for word in MEMORY_WORDS))


def _config(checkpoint: Checkpoint, device: str) -> PreTrainedConfig:
    config = PreTrainedConfig.from_pretrained(str(checkpoint.path))
    if config.use_peft:
        raise ConfigError("model", wanted="a whole policy", got="an adapter", fix="merge it and save that")
    if device:
        config.device = _device(device)
    if hasattr(config, "pretrained_backbone_weights"):
        config.pretrained_backbone_weights = None  # the checkpoint's own follow; spares a download
    return config


def _device(name: str) -> str:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError("device", wanted="cpu, cuda, cuda:0, mps …", got=repr(name)) from error
    is_there = is_torch_device_available(device.type)
    if is_there and device.type == "cuda" and device.index is not None:
        is_there = device.index < torch.cuda.device_count()
    if not is_there:
        raise ConfigError("device", wanted="one that this machine has", got=repr(name))
    return name


def _set_dtype(config: PreTrainedConfig, dtype: str) -> torch.dtype | None:
    """Apply `dtype` to the family's own setting; return it where there is none and it is not float32."""
    if not dtype:
        return None
    if dtype not in DTYPES:
        raise ConfigError("dtype", wanted=f"one of {', '.join(DTYPES)}", got=repr(dtype))
    if hasattr(config, "dtype"):
        config.dtype = dtype
        return None
    return None if dtype == "float32" else DTYPES[dtype]


def _set_compiled(config: PreTrainedConfig, family: Family) -> None:
    """Leave it to LeRobot to compile while it builds the policy, or see that it does not where we do."""
    if hasattr(config, "compile_model"):
        config.compile_model = not family.compiled
    elif not family.compiled:
        raise ConfigError(
            "options.compile",
            wanted="a family that can be compiled",
            got=f"{config.type}, which neither LeRobot nor vagus compiles",
            fix="leave it out",
        )


def _pipelines(
    checkpoint: Checkpoint, config: PreTrainedConfig, tokenizer: str, *, has_one_length: bool
) -> tuple[PolicyProcessorPipeline, PolicyProcessorPipeline]:
    """Return both pipelines; `has_one_length`: instructions are padded to the longest that there can be."""
    before: dict[str, dict[str, str]] = {}
    after: dict[str, dict[str, str]] = {}
    if checkpoint.has_step(checkpoint.preprocessor, "device_processor"):
        before["device_processor"] = {"device": config.device}
    if checkpoint.has_step(checkpoint.postprocessor, "device_processor"):
        after["device_processor"] = {"device": "cpu"}
    if checkpoint.has_step(checkpoint.preprocessor, "tokenizer_processor"):
        named = {"tokenizer_name": tokenizer} if tokenizer else {}
        padded = {"padding": "max_length"} if has_one_length else {}
        before["tokenizer_processor"] = {**named, **padded}
    elif tokenizer:
        raise ConfigError(
            "options.tokenizer", wanted="none: the policy has no use for it", got=repr(tokenizer)
        )
    pipelines: tuple[PolicyProcessorPipeline, PolicyProcessorPipeline] = make_pre_post_processors(
        config,
        pretrained_path=str(checkpoint.path),
        preprocessor_overrides=before,
        postprocessor_overrides=after,
    )
    return pipelines


@contextmanager
def _explained(checkpoint: Checkpoint, named: Table) -> Iterator[None]:
    """Raise what LeRobot raises in words that say what can be done.

    Args:
        checkpoint: what is loaded.
        named: setting → where that, which names what else is loaded, is written.
    """
    try:
        yield
    except VagusError:
        raise
    except ImportError as error:
        extra = family_of(checkpoint.policy_type).extra
        raise ConfigError(
            f"policy type {checkpoint.policy_type!r}",
            wanted="all packages that it needs",
            got=str(error),
            fix=f'pip install "lerobot[{extra}]"' if extra else "",
        ) from error
    except Exception as error:
        raise _failure(checkpoint, named, error) from error


def _failure(checkpoint: Checkpoint, named: Table, error: Exception) -> VagusError:
    if out_of_memory(error):
        return PolicyError(
            f"model {checkpoint.path} does not fit into memory; choose another device, or --dtype bfloat16"
            f" ({error})"
        )
    refusal = next((link for link in _causes(error) if _is_of_the_hub(link)), None)
    places = sorted({place for place in places_in(named) if not Path(place).is_dir()})
    if refusal is not None:
        return PolicyError(
            f"model {checkpoint.path} needs files of {', '.join(places) or 'the hub'}, which cannot be had: "
            "if it is gated, accept its terms on its page and log in here (HF_TOKEN); or fetch it elsewhere "
            f"and give its directory in {', '.join(named)} ({str(refusal).splitlines()[0]})"
        )
    return ConfigError(
        f"model {checkpoint.path}",
        wanted=f"files of a {checkpoint.policy_type} policy that fit each other and this LeRobot",
        got=f"{type(error).__name__}: {error}",
    )


def _tokenizers(checkpoint: Checkpoint) -> list[object]:
    """Return what the steps of the preprocessor are told, the names of their tokenizers among it."""
    return [step.get("config") for step in steps_of(checkpoint.preprocessor)]


def _causes(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


def _is_of_the_hub(error: BaseException) -> bool:
    """Return whether something cannot be had from the hub; transformers says so with a bare OSError."""
    is_bare = type(error) is OSError and error.errno is None
    return is_bare or isinstance(error, (HfHubHTTPError, LocalEntryNotFoundError))


def _check_weights(checkpoint: Checkpoint, policy: PreTrainedPolicy) -> None:
    """Compare the smallest tensors with the file: some families print a warning and keep random weights."""
    ours = policy.state_dict()
    try:
        with safe_open(str(checkpoint.path / WEIGHTS), framework="pt") as file:
            places = {name: name if name in ours else f"model.{name}" for name in file.keys()}  # noqa: SIM118
            known = sorted(
                (n for n, place in places.items() if place in ours), key=lambda n: ours[places[n]].numel()
            )
            wrong = [n for n in known[:PROBES] if not _is_equal(file.get_tensor(n), ours[places[n]])]
    except SafetensorError as error:
        raise PolicyError(f"{checkpoint.path / WEIGHTS} cannot be read: {error}") from error
    if wrong or not known:
        raise PolicyError(
            f"model {checkpoint.path}: its weights did not reach the network ({wrong or 'no name fits'}); "
            "it was made for another version or another configuration"
        )


def _is_equal(stored: torch.Tensor, loaded: torch.Tensor) -> bool:
    return stored.shape == loaded.shape and bool(torch.equal(stored.to(loaded.dtype), loaded.cpu()))
