"""Notes what a network's forward reads outside of its input: the values on which a recorded call depends."""

import functools
import inspect
import math
import random
import sysconfig
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import snntorch
import torch
from torch import Tensor, nn

import fastspiking
from sgbench import paths
from sgbench.neurons.base import Neuron
from sgbench.yours.snntorch_neurons import can_integrate, is_far, why_not
from sgbench.yours.spiking_modules import state_names
from sgbench.yours.traced.layers import sends_plain_ones
from sgbench.yours.traced.trace import Leaf, Meta, Unproven, module_at

PLUMBING = frozenset(dir(nn.Module())) - {"training"}
"""Attributes of every module that say nothing of this one."""
ATOMS = (bool, int, str, bytes, type(None), torch.dtype, torch.device, torch.Size, torch.layout, torch.memory_format)
PLAIN_DATA = (*ATOMS, float, list, tuple, dict, set, frozenset, Tensor)
ENVIRONMENT = frozenset({"environ", "getenv"})
DEEPEST = 8
LARGEST_ARRAY = 10**6
INSTALLED = frozenset({"site-packages", "dist-packages"})
LIBRARIES = tuple(
    str(Path(folder).resolve())
    for folder in (
        sysconfig.get_path("stdlib"),
        *(Path(str(package.__file__)).parent for package in (torch, snntorch, np, paths, fastspiking)),
    )
)
Getter = Callable[[], Any]


class Reads:
    """Holds the values that a forward read, each with a function that reads it again."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.paths = {id(module): path for path, module in network.named_modules()}
        self.values: dict[tuple[Any, ...], tuple[Getter, Any, str]] = {}  # getter, token and name of each
        self.set: dict[tuple[str, str], nn.Module] = {}
        self.twins: list[tuple[Leaf, Leaf]] = []  # places that held one and the same tensor
        self.alive: list[Any] = []
        self.functions: dict[int, Any] = {}
        self.names: set[str] = set()
        self.followed: set[tuple[int, str]] = set()  # names of modules of Python, by the module
        self.failed = ""
        self.reset_kinds: set[type] = set()  # kinds of neurons that it sets to rest in other networks too
        self.running: list[str] = []
        self.on_tensor: Callable[[Leaf, Tensor], None] = lambda *_: None

    @property
    def where(self) -> str:
        return self.running[-1] if self.running else ""

    # --- attributes of modules

    @contextmanager
    def noted(self) -> Iterator[None]:
        base: Any = nn.Module
        own = {number for number, path in self.paths.items() if not state_names(module_at(self.network, path))}
        set_before, delete_before, call_before = base.__setattr__, base.__delattr__, base.__call__

        def getattribute(module: Any, name: str) -> Any:
            value = object.__getattribute__(module, name)
            if name not in PLUMBING and id(module) in own:
                self.read(module, name, value)
            return value

        def set_attribute(module: Any, name: str, value: Any) -> None:
            if id(module) in own:
                self.set[self.paths[id(module)], name] = module
            set_before(module, name, value)

        def delete(module: Any, name: str) -> None:
            self.failed = self.failed or f"it deletes '{name}'"
            delete_before(module, name)

        def call(module: Any, *args: Any, **kwargs: Any) -> Any:
            self.running.append(self.paths.get(id(module), ""))
            try:
                return call_before(module, *args, **kwargs)
            finally:
                self.running.pop()

        base.__getattribute__, base.__setattr__, base.__delattr__ = getattribute, set_attribute, delete
        base.__call__ = call
        try:
            yield
        finally:
            del base.__getattribute__  # it was `object`'s
            base.__setattr__, base.__delattr__, base.__call__ = set_before, delete_before, call_before

    def read(self, module: nn.Module, name: str, value: Any) -> None:
        stands_in = isinstance(module, Neuron) and name in ("step", "centred")  # while a call is recorded
        if isinstance(value, nn.Module) or self.failed or stands_in:
            return
        path = self.paths.get(id(module), "")
        if (path, name) in self.set or ("attribute", path, name) in self.values:
            return
        if isinstance(value, FunctionType | MethodType):
            self.open(value)
            if name not in vars(module):
                return
        self._note(("attribute", path, name), lambda: getattr(module_at(self.network, path), name), value, name)

    def _note(self, key: tuple[Any, ...], getter: Getter, value: Any, name: str) -> None:
        if self.failed:
            return
        try:
            self.values[key] = getter, self.token(value), name
            self._note_tensors(key, value)
        except Unproven as why:
            self.failed = f"it reads '{name}', {why}"

    def _note_tensors(self, key: tuple[Any, ...], value: Any, inner: tuple[Any, ...] = ()) -> None:
        if isinstance(value, Tensor):
            at = Leaf("attribute", (*key[1:], *inner)) if key[0] == "attribute" else Leaf("outside", (key, *inner))
            self.on_tensor(at, value)
        elif isinstance(value, dict):
            for item, each in value.items():
                self._note_tensors(key, each, (*inner, item))
        elif isinstance(value, tuple | list):
            for item, each in enumerate(value):
                self._note_tensors(key, each, (*inner, item))

    def written(self) -> dict[tuple[str, str], Any]:
        found = {}
        for (path, name), module in self.set.items():
            value = getattr(module, name)
            key = ("attribute", path, name)
            if isinstance(value, nn.Module | nn.Parameter):
                raise Unproven(f"it sets '{name}', a {type(value).__name__}")
            before = self.values.pop(key, None)
            if before is not None and not isinstance(value, Tensor) and before[1] != self.token(value):
                raise Unproven(f"it changes '{name}' from call to call")
            if before is not None:
                self.values[key] = before
            found[path, name] = value
        return found

    def close(self, network: nn.Module) -> None:
        self.open_functions()
        if self.failed:
            raise Unproven(self.failed)
        for key, (getter, token, name) in self.values.items():
            if key[1:] in self.set:
                continue
            if self.token(getter()) != token:
                raise Unproven(f"it changes '{name}' from call to call")
        for path, module in network.named_modules():
            if state_names(module):
                getter = functools.partial(self._plain_of, path)
                self._note(("neurons", path), getter, getter(), path)
        if self.failed:
            raise Unproven(self.failed)

    def _plain_of(self, path: str) -> dict[str, Any]:
        """Return what is no tensor in neurons, and what decides how they run."""
        module = module_at(self.network, path)
        kind = why_not(module), sends_plain_ones(module), can_integrate(module), is_far(module)
        own = {key: each for key, each in vars(module).items() if key not in PLUMBING and key != "reset"}
        return {key: each for key, each in own.items() if not isinstance(each, Tensor)} | {"kind": kind}

    def fetch(self, leaf: Leaf, inputs: list[Tensor]) -> Tensor:
        if leaf.kind == "input":
            return inputs[leaf.place[0]]
        if leaf.kind == "outside":
            key, *inner = leaf.place
            value = self.values[key][0]()
        else:
            path, name, *inner = leaf.place
            value = getattr(module_at(self.network, path), name)
        for item in inner:
            value = value[item]
        return value  # type: ignore[no-any-return]

    def reset_others(self) -> None:
        """Set the neurons of other networks to rest, as `snntorch.utils.reset` does."""
        for module in snntorch.SpikingNeuron.instances if self.reset_kinds else ():
            if type(module) in self.reset_kinds and id(module) not in self.paths:
                module.reset_mem()

    def write(self, values: dict[tuple[str, str], Any]) -> None:
        for (path, name), value in values.items():
            module = module_at(self.network, path)
            module._buffers.update({name: value}) if name in module._buffers else setattr(module, name, value)

    def changed(self) -> str:
        for getter, token, name in self.values.values():
            try:
                if self.token(getter()) != token:
                    return name
            except (AttributeError, KeyError, Unproven):
                return name
        return ""

    # --- names outside of the network

    def open_functions(self) -> None:
        """Note the globals and closures that the forwards of the network's own classes read."""
        for module in self.network.modules():
            if not state_names(module):
                original = next((base for base in type(module).__mro__ if "forward" in vars(base)), None)
                if original is not None:
                    self.open(vars(original)["forward"])

    def open(self, function: Any) -> None:
        function = inspect.unwrap(getattr(function, "__func__", function))
        if (
            not isinstance(function, FunctionType)
            or id(function) in self.functions
            or is_library_file(function.__code__.co_filename)
        ):
            return
        self.functions[id(function)] = function
        for at, cell in enumerate(function.__closure__ or ()):
            name = function.__code__.co_freevars[at]
            if name != "__class__":
                self._outside(("cell", id(cell)), lambda cell=cell: cell.cell_contents, name)
        for at, value in enumerate(function.__defaults__ or ()):
            self._outside(("default", id(function), at), lambda value=value: value, f"default {at}")
        for name in names_of(function.__code__):
            if name in ENVIRONMENT:
                self.failed = "it reads the environment of its process"
            if name in function.__globals__:
                space = function.__globals__
                self._outside(("global", id(space), name), lambda space=space, name=name: space[name], name)
            self._methods(name)

    def _methods(self, name: str) -> None:
        if name in self.names or name in PLUMBING:
            return
        self.names.add(name)
        for module in self.network.modules():
            found = inspect.getattr_static(type(module), name, None)
            found = found.fget if isinstance(found, property) else getattr(found, "__func__", found)
            if isinstance(found, FunctionType):
                self.open(found)
            for base in type(module).__mro__ if isinstance(found, PLAIN_DATA) else ():
                self._of_class(base, name)

    def _outside(self, key: tuple[Any, ...], getter: Getter, name: str) -> None:
        try:
            value = getter()
        except ValueError:  # an empty cell
            return
        if isinstance(value, type):
            self._class(value)
        if key in self.values or self.failed:
            return
        if isinstance(value, FunctionType | MethodType) or hasattr(value, "__wrapped__"):
            self.open(value)
        elif isinstance(value, ModuleType):
            if not is_library_file(getattr(value, "__file__", None) or ""):
                names = [inner for inner in self._used_of(value) if (id(value), inner) not in self.followed]
                self.followed.update((id(value), inner) for inner in names)  # modules may name each other
                for inner in names:
                    self._outside((*key, inner), lambda value=value, inner=inner: getattr(value, inner), inner)
            return
        elif isinstance(value, nn.Module):
            if id(value) not in self.paths:
                self.failed = f"it uses '{name}', a module that is no part of it"
            return
        self._note(key, getter, value, name)

    def _class(self, kind: type) -> None:
        """Follow the functions of a class of the user, and note the plain attributes of it that they name."""
        for value in vars(kind).values():
            if isinstance(getattr(value, "__func__", value), FunctionType):
                self.open(value)
        for name in self._used_of(kind):
            self._of_class(kind, name)

    def _of_class(self, kind: type, name: str) -> None:
        if name in vars(kind) and isinstance(vars(kind)[name], PLAIN_DATA):
            self._outside(("class", id(kind), name), lambda: getattr(kind, name), name)

    def _used_of(self, module: ModuleType | type) -> list[str]:
        used = {name for function in self.functions.values() for name in names_of(function.__code__)}
        return sorted(used & vars(module).keys())

    # --- values as tokens

    def token(self, value: Any, depth: int = 0) -> Any:  # noqa: PLR0911 - one for each kind of value
        """Return what is equal for equal values alone; raise `Unproven` for what cannot be compared."""
        if isinstance(value, ATOMS):
            return type(value), value
        if isinstance(value, float | np.number):
            return type(value), None if math.isnan(value) else value
        if isinstance(value, Tensor):
            return Meta.of(value), isinstance(value, nn.Parameter)
        if depth > DEEPEST:
            raise Unproven("which is nested too deeply to compare")
        if isinstance(value, dict):
            return type(value), tuple(
                (self.token(key, depth + 1), self.token(each, depth + 1)) for key, each in value.items()
            )
        if isinstance(value, tuple | list):
            return type(value), tuple(self.token(each, depth + 1) for each in value)
        if isinstance(value, set | frozenset):
            return type(value), frozenset(self.token(each, depth + 1) for each in value)
        if isinstance(value, range | slice):
            return repr(value)
        if isinstance(value, np.ndarray) and value.nbytes <= LARGEST_ARRAY and value.dtype != object:
            return value.shape, str(value.dtype), value.tobytes()
        return self._of_object(value, depth)

    def _of_object(self, value: Any, depth: int) -> Any:
        if isinstance(value, FunctionType):
            self.alive.append(value)
            self.open(value)
            cells = tuple(self.token(cell.cell_contents, depth + 1) for cell in value.__closure__ or ())
            return id(value.__code__), cells
        if isinstance(value, weakref.ref):  # torch's recurrent layers hold them to their weights
            return "reference", self.token(value(), depth + 1)
        if isinstance(value, functools.partial):
            inner = value.func, value.args, value.keywords
            return "partial", tuple(self.token(each, depth + 1) for each in inner)
        if isinstance(value, MethodType):
            owner = value.__self__
            known = self.paths.get(id(owner), type(owner).__name__) if isinstance(owner, nn.Module) else None
            return "method", value.__func__.__name__, self.token(owner, 1) if known is None else known
        if isinstance(value, type) or inspect.isroutine(value) or isinstance(value, torch.Generator):
            self.alive.append(value)
            return id(value)
        if isinstance(value, nn.Module) and id(value) in self.paths:
            return "module", self.paths[id(value)]
        plain = getattr(value, "__dict__", None)
        slots = any(vars(base).get("__slots__") for base in type(value).__mro__)
        if (
            isinstance(value, ModuleType | random.Random | np.ndarray)
            or plain is None
            or slots
            or hasattr(value, "__next__")
        ):
            raise Unproven(f"a {type(value).__name__}, which cannot be compared with its value at another call")
        if isinstance(value, nn.Module) and any(True for _ in value.parameters()):
            raise Unproven("a module that is no part of the network")
        kept = {key: each for key, each in plain.items() if key not in PLUMBING} | {"_modules": plain.get("_modules")}
        return type(value), self.token(kept, depth + 1)


def names_of(code: CodeType) -> set[str]:
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return {*code.co_names, *(name for each in inner for name in names_of(each))}


def is_library_file(file: str) -> bool:
    """Return whether a file belongs to an installed package or to Python, whose globals are not followed."""
    if not file or file.startswith("<frozen"):
        return True
    place = Path(file).resolve()
    return not INSTALLED.isdisjoint(place.parts) or str(place).startswith(LIBRARIES)
