"""Guards of a recorded call: what the forward read outside of its input, each with a way to read it again.

While a call is recorded, `Guards` sees each attribute of a module that is read or set, and follows the functions
that run to the globals, closures, defaults and class attributes that their code names. Before a replay every value
is read again; if its fingerprint is another, the call is recorded anew. Tensors are compared by shape and type only,
since a replay fetches their present values.
"""

import functools
import inspect
import math
import random
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import fastspiking
from fastspiking.replay.neurons import NeuronAdapter
from fastspiking.replay.trace import Leaf, Meta, NotReplayable, module_at

PLUMBING = frozenset(dir(nn.Module())) - {"training"}
"""Attributes that torch gives every module, which say nothing of this one."""
# Types whose values are their own fingerprint.
ATOMS = (bool, int, str, bytes, type(None), torch.dtype, torch.device, torch.Size, torch.layout, torch.memory_format)
PLAIN_DATA = (*ATOMS, float, list, tuple, dict, set, frozenset, Tensor)
ENVIRONMENT = frozenset({"environ", "getenv"})
DEEPEST = 8  # nested containers and objects that are compared
LARGEST_ARRAY = 10**6  # bytes of an array that is compared in each call
INSTALLED = frozenset({"site-packages", "dist-packages"})
LIBRARIES = tuple(str(Path(str(library.__file__)).parent.resolve()) for library in (inspect, torch, np, fastspiking))
Getter = Callable[[], Any]


class Guards:
    """Holds the values that a forward read, each with a function that reads it again.

    `failed` says why the values cannot be compared, so that the call cannot be replayed.
    """

    def __init__(self, network: nn.Module, adapter: NeuronAdapter) -> None:
        self.network, self.adapter = network, adapter
        self.paths = {id(module): path for path, module in network.named_modules()}
        self.values: dict[tuple[Any, ...], tuple[Getter, Any, str]] = {}  # getter, fingerprint, name of each
        self.set: dict[tuple[str, str], nn.Module] = {}  # modules by (path, attribute) that the forward set
        self.aliases: list[tuple[Leaf, Leaf]] = []  # places that held one and the same tensor
        self.alive: list[Any] = []  # whose id is part of a fingerprint
        self.functions: dict[int, Any] = {}  # those followed, by id
        self.followed_names: set[str] = set()  # names of methods and class attributes
        self.followed: set[tuple[int, str]] = set()  # (id of a Python module, name in it)
        self.failed = ""
        self.reset_kinds: set[type] = set()  # kinds of neurons that it sets to rest in other networks too
        self.running: list[str] = []  # paths of the modules whose forward runs, the innermost last
        self.on_tensor: Callable[[Leaf, Tensor], None] = lambda *_: None

    @property
    def where(self) -> str:
        """Return the path of the module whose forward runs."""
        return self.running[-1] if self.running else ""

    # --- attributes of modules

    @contextmanager
    def watching(self) -> Iterator[None]:
        """See each attribute of the network's modules that is read, set or deleted during the body.

        `nn.Module` itself is patched, since an instance cannot intercept its own attributes; modules of others, and
        neurons that hold their state, which is followed apart, pass through.
        """
        base: Any = nn.Module
        own = {id(module) for module in self.network.modules() if not self.adapter.state_fields(module)}
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
        """Guard an attribute that was read, unless this call has set it before; follow it if it is a method."""
        stands_in = name in ("step", "centred") and self.adapter.has_step(module)  # while a call is recorded
        if isinstance(value, nn.Module) or self.failed or stands_in:
            return
        path = self.paths.get(id(module), "")
        if (path, name) in self.set or ("attribute", path, name) in self.values:
            return
        if isinstance(value, FunctionType | MethodType):
            self.follow_function(value)
            if name not in vars(module):
                return
        self._guard(("attribute", path, name), lambda: getattr(module_at(self.network, path), name), value, name)

    def _guard(self, key: tuple[Any, ...], getter: Getter, value: Any, name: str) -> None:
        """Add a guard; `key`: where the value is found, "attribute" or "global" ... first; `name`: for messages."""
        if self.failed:
            return
        try:
            self.values[key] = getter, self.fingerprint(value), name
            self._register_tensors(key, value)
        except NotReplayable as why:
            self.failed = f"it reads '{name}', {why}"

    def _register_tensors(self, key: tuple[Any, ...], value: Any, inner: tuple[Any, ...] = ()) -> None:
        """Register the tensors in a value with where they are found: the attribute or name, then keys within."""
        if isinstance(value, Tensor):
            at = Leaf("attribute", (*key[1:], *inner)) if key[0] == "attribute" else Leaf("outside", (key, *inner))
            self.on_tensor(at, value)
        elif isinstance(value, dict):
            for item, each in value.items():
                self._register_tensors(key, each, (*inner, item))
        elif isinstance(value, tuple | list):
            for item, each in enumerate(value):
                self._register_tensors(key, each, (*inner, item))

    def written_attributes(self) -> dict[tuple[str, str], Any]:
        """Return what the call left in attributes by (path, name); of what it reads too, only tensors may change."""
        found = {}
        for (path, name), module in self.set.items():
            value = getattr(module, name)
            key = ("attribute", path, name)
            if isinstance(value, nn.Module | nn.Parameter):
                raise NotReplayable(f"it sets '{name}', a {type(value).__name__}")
            before = self.values.pop(key, None)
            if before is not None and not isinstance(value, Tensor) and before[1] != self.fingerprint(value):
                raise NotReplayable(f"it changes '{name}' from call to call")
            if before is not None:
                self.values[key] = before
            found[path, name] = value
        return found

    def finish(self, network: nn.Module) -> None:
        """Complete the guards after the call: nothing read may have changed meanwhile; add the settings of neurons."""
        self.follow_forwards()
        if self.failed:
            raise NotReplayable(self.failed)
        for key, (getter, fingerprint, name) in self.values.items():
            if key[1:] in self.set:
                continue
            if self.fingerprint(getter()) != fingerprint:
                raise NotReplayable(f"it changes '{name}' from call to call")
        for path, module in network.named_modules():
            if self.adapter.state_fields(module):
                getter = functools.partial(self._neuron_settings, path)
                self._guard(("neurons", path), getter, getter(), path)
        if self.failed:
            raise NotReplayable(self.failed)

    def _neuron_settings(self, path: str) -> dict[str, Any]:
        """Return what is no tensor in neurons, and what decides how they run."""
        module = module_at(self.network, path)
        own = {key: each for key, each in vars(module).items() if key not in PLUMBING and not isinstance(each, Tensor)}
        return own | {"kind": self.adapter.kind(module)}

    def fetch(self, leaf: Leaf, inputs: list[Tensor]) -> Tensor:
        """Return the tensor that a leaf stands for now; `inputs`: tensors of the present call, in order."""
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
        """Set the neurons of other networks to rest, as the recorded call did."""
        for module in self.adapter.all_neurons() if self.reset_kinds else ():
            if type(module) in self.reset_kinds and id(module) not in self.paths:
                self.adapter.set_to_rest(module)

    def write(self, values: dict[tuple[str, str], Any]) -> None:
        """Store in the network what a replay gives in place of the attributes that the call has set."""
        for (path, name), value in values.items():
            module = module_at(self.network, path)
            if name in module._buffers:
                module._buffers[name] = value
            else:
                setattr(module, name, value)

    def changed(self) -> str:
        """Return the name of a value that is no longer as it was recorded, or "" if all are."""
        for getter, fingerprint, name in self.values.values():
            try:
                if self.fingerprint(getter()) != fingerprint:
                    return name
            except (AttributeError, KeyError, NotReplayable):
                return name
        return ""

    # --- functions, and the names that they read outside of the network

    def follow_forwards(self) -> None:
        """Guard the globals and closures that the forwards of the network's own classes read."""
        for module in self.network.modules():
            if not self.adapter.state_fields(module):
                original = next((base for base in type(module).__mro__ if "forward" in vars(base)), None)
                if original is not None:
                    self.follow_function(vars(original)["forward"])

    def follow_function(self, function: Any) -> None:
        """Guard what a function of the user's can read beside its arguments: closure, defaults and named globals.

        Names are taken from its code, read or not, so that a branch not taken in this call is guarded too.
        """
        function = inspect.unwrap(getattr(function, "__func__", function))
        if (
            not isinstance(function, FunctionType)
            or id(function) in self.functions
            or self._is_library_file(function.__code__.co_filename)
        ):
            return
        self.functions[id(function)] = function
        for at, cell in enumerate(function.__closure__ or ()):
            name = function.__code__.co_freevars[at]
            if name != "__class__":
                self._guard_global(("cell", id(cell)), lambda cell=cell: cell.cell_contents, name)
        for at, value in enumerate(function.__defaults__ or ()):
            # A default is never replaced, but one that can be changed, such as a list, may have been.
            self._guard_global(("default", id(function), at), lambda value=value: value, f"default {at}")
        for name in names_of(function.__code__):
            if name in ENVIRONMENT:
                self.failed = "it reads the environment of its process"
            if name in function.__globals__:
                space = function.__globals__
                self._guard_global(("global", id(space), name), lambda space=space, name=name: space[name], name)
            self._follow_methods(name)

    def _follow_methods(self, name: str) -> None:
        """Follow methods and properties of this name in the network's classes, and guard class attributes of it."""
        if name in self.followed_names or name in PLUMBING:
            return
        self.followed_names.add(name)
        for module in self.network.modules():
            found = inspect.getattr_static(type(module), name, None)
            found = found.fget if isinstance(found, property) else getattr(found, "__func__", found)
            if isinstance(found, FunctionType):
                self.follow_function(found)
            for base in type(module).__mro__ if isinstance(found, PLAIN_DATA) else ():
                self._guard_class_attribute(base, name)

    def _guard_global(self, key: tuple[Any, ...], getter: Getter, name: str) -> None:
        """Guard a value outside of the network, and follow it if it is a function, class or module of the user's."""
        try:
            value = getter()
        except ValueError:  # an empty cell
            return
        if isinstance(value, type):
            self._follow_class(value)
        if key in self.values or self.failed:
            return
        if isinstance(value, FunctionType | MethodType) or hasattr(value, "__wrapped__"):
            self.follow_function(value)
        elif isinstance(value, ModuleType):
            if not self._is_library_file(getattr(value, "__file__", None) or ""):
                names = [inner for inner in self._names_used_of(value) if (id(value), inner) not in self.followed]
                self.followed.update((id(value), inner) for inner in names)  # modules may name each other
                for inner in names:
                    self._guard_global((*key, inner), lambda value=value, inner=inner: getattr(value, inner), inner)
            return
        elif isinstance(value, nn.Module):
            if id(value) not in self.paths:
                self.failed = f"it uses '{name}', a module that is no part of it"
            return
        self._guard(key, getter, value, name)

    def _follow_class(self, kind: type) -> None:
        """Follow the functions of a class of the user, and note the plain attributes of it that they name."""
        for value in vars(kind).values():
            if isinstance(getattr(value, "__func__", value), FunctionType):
                self.follow_function(value)
        for name in self._names_used_of(kind):
            self._guard_class_attribute(kind, name)

    def _guard_class_attribute(self, kind: type, name: str) -> None:
        if name in vars(kind) and isinstance(vars(kind)[name], PLAIN_DATA):
            self._guard_global(("class", id(kind), name), lambda: getattr(kind, name), name)

    def _names_used_of(self, module: ModuleType | type) -> list[str]:
        """Return those of its names that any followed function mentions."""
        used = {name for function in self.functions.values() for name in names_of(function.__code__)}
        return sorted(used & vars(module).keys())

    def _is_library_file(self, file: str) -> bool:
        """Return whether a file belongs to an installed package or to Python, whose globals are not followed."""
        if not file or file.startswith("<frozen"):
            return True
        place = Path(file).resolve()
        inside = str(place).startswith((*LIBRARIES, *self.adapter.library_folders))
        return inside or not INSTALLED.isdisjoint(place.parts)

    # --- fingerprints of values

    def fingerprint(self, value: Any, depth: int = 0) -> Any:  # noqa: PLR0911 - one for each kind of value
        """Return what is equal for equal values alone; raise `NotReplayable` for what cannot be compared."""
        if isinstance(value, ATOMS):
            return type(value), value
        if isinstance(value, float | np.number):
            return type(value), None if math.isnan(value) else value  # NaN equals no NaN
        if isinstance(value, Tensor):
            return Meta.of(value), isinstance(value, nn.Parameter)
        if depth > DEEPEST:
            raise NotReplayable("which is nested too deeply to compare")
        if isinstance(value, dict):
            return type(value), tuple(
                (self.fingerprint(key, depth + 1), self.fingerprint(each, depth + 1)) for key, each in value.items()
            )
        if isinstance(value, tuple | list):
            return type(value), tuple(self.fingerprint(each, depth + 1) for each in value)
        if isinstance(value, set | frozenset):
            return type(value), frozenset(self.fingerprint(each, depth + 1) for each in value)
        if isinstance(value, range | slice):
            return repr(value)
        if isinstance(value, np.ndarray) and value.nbytes <= LARGEST_ARRAY and value.dtype != object:
            return value.shape, str(value.dtype), value.tobytes()
        return self._object_fingerprint(value, depth)

    def _object_fingerprint(self, value: Any, depth: int) -> Any:
        """Return a value that differs if the object would act otherwise; NotReplayable if that cannot be told."""
        if isinstance(value, FunctionType):
            self.alive.append(value)
            self.follow_function(value)
            cells = tuple(self.fingerprint(cell.cell_contents, depth + 1) for cell in value.__closure__ or ())
            return id(value.__code__), cells
        if isinstance(value, weakref.ref):  # torch's recurrent layers hold them to their weights
            return "reference", self.fingerprint(value(), depth + 1)
        if isinstance(value, functools.partial):
            inner = value.func, value.args, value.keywords
            return "partial", tuple(self.fingerprint(each, depth + 1) for each in inner)
        if isinstance(value, MethodType):
            owner = value.__self__
            known = self.paths.get(id(owner), type(owner).__name__) if isinstance(owner, nn.Module) else None
            return "method", value.__func__.__name__, self.fingerprint(owner, 1) if known is None else known
        if isinstance(value, type) or inspect.isroutine(value) or isinstance(value, torch.Generator):
            self.alive.append(value)
            return id(value)
        if isinstance(value, nn.Module) and id(value) in self.paths:
            return "module", self.paths[id(value)]
        # Any other object is compared by its attributes, if those are all that it holds.
        plain = getattr(value, "__dict__", None)
        has_slots = any(vars(base).get("__slots__") for base in type(value).__mro__)
        is_hidden = isinstance(value, ModuleType | random.Random | np.ndarray) or hasattr(value, "__next__")
        if plain is None or has_slots or is_hidden:
            raise NotReplayable(f"a {type(value).__name__}, which cannot be compared with its value at another call")
        if isinstance(value, nn.Module) and any(True for _ in value.parameters()):
            raise NotReplayable("a module that is no part of the network")
        kept = {key: each for key, each in plain.items() if key not in PLUMBING} | {"_modules": plain.get("_modules")}
        return type(value), self.fingerprint(kept, depth + 1)


def names_of(code: CodeType) -> set[str]:
    """Return the globals and attributes that a code object names, and those of the functions defined within."""
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return {*code.co_names, *(name for each in inner for name in names_of(each))}
