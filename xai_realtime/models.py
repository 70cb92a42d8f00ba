"""Model references and the providers they name. In: text such as `grok.grok-4.6`. Out: ModelRef, Provider, keys.

Nothing here is global state: providers stand in a `Providers` value, which a client is given. Imports: room 0, stdlib.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal, Self, TypeAlias

from xai_realtime.address import KEY_VARIABLE, Address, Key
from xai_realtime.defaults import BASE_URL
from xai_realtime.errors import ConfigurationError

__all__ = [
    "PROVIDERS",
    "RETIRED_MODELS",
    "ModelRef",
    "Provider",
    "Providers",
    "RetiredModel",
    "RetiredModelWarning",
    "TokenField",
    "provider_key",
    "retired_model",
]

TokenField: TypeAlias = Literal["max_completion_tokens", "max_tokens"]

TOKEN_FIELDS: Final = ("max_completion_tokens", "max_tokens")
PROVIDER_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
PROVIDER_WORD: Final = re.compile(r"[A-Za-z]+")
VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
REFERENCE: Final = re.compile(r"[\x21-\x7e]+")
OWN: Final = "xai"
MAX_CHARACTERS: Final = 200
HOW_TO_REGISTER: Final = "give another one to the client: providers=Providers(Provider(name, base_url, key_variable))"


class RetiredModelWarning(UserWarning):
    """A model that its provider has taken out of service, with the one to use in its place."""


@dataclass(frozen=True, slots=True)
class Provider:
    """Who serves models at one address in the manner of OpenAI: a row of data.

    `name` is what stands before the dot of a reference, its case ignored. `key_variable` is the environment variable
    of its key, None for none; its value goes to the origin of `base_url` alone. `has_developer_role` is True where
    `developer` messages go out as they are; `token_field` is the name under which `max_tokens=` goes out.

    Raises ConfigurationError for a value that cannot be used, and for `XAI_API_KEY` at an address of another service.
    """

    name: str
    base_url: str
    key_variable: str | None = None
    has_developer_role: bool = False
    token_field: TokenField = "max_completion_tokens"

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or PROVIDER_NAME.fullmatch(self.name) is None:
            allowed = "a letter, then at most 63 letters, digits, _ and -, is allowed"
            raise ConfigurationError(f"the name of a provider is {self.name!r}; {allowed}")
        object.__setattr__(self, "name", self.name.lower())
        address = Address(self.base_url)
        variable = self.key_variable
        if variable is not None and (not isinstance(variable, str) or VARIABLE.fullmatch(variable) is None):
            allowed = "the name of an environment variable, or None, is allowed (a key itself is not)"
            raise ConfigurationError(f"key_variable of provider {self.name} is malformed; {allowed}")
        if variable == KEY_VARIABLE and not (address.is_xai or address.is_loopback):
            raise ConfigurationError(
                f"key_variable of provider {self.name} is {KEY_VARIABLE}, which does not belong to {address.origin}: "
                "name another variable, or give api_key= with the call"
            )
        if not isinstance(self.has_developer_role, bool):
            raise ConfigurationError(f"has_developer_role is {self.has_developer_role!r}; True or False is allowed")
        if self.token_field not in TOKEN_FIELDS:
            raise ConfigurationError(f"token_field is {self.token_field!r}; allowed are {', '.join(TOKEN_FIELDS)}")

    @property
    def is_built_in(self) -> bool:
        """True for `grok` and `xai`: they stand for the client's own service, at the client's own address."""
        return self.name in BUILT_IN


BUILT_IN: Final = ("grok", OWN)


class Providers:
    """The providers that a client knows: `grok` and `xai`, and those it was given. Not changed after it was made.

    Raises ConfigurationError for a name given twice, or one of the two built in.
    """

    __slots__ = ("_rows",)

    def __init__(self, *providers: Provider) -> None:
        rows = {name: Provider(name, BASE_URL, KEY_VARIABLE) for name in BUILT_IN}
        for provider in providers:
            if not isinstance(provider, Provider):
                raise ConfigurationError(f"a provider is a {type(provider).__name__}; a Provider is allowed")
            if provider.name in rows:
                raise ConfigurationError(f"provider {provider.name} is known already; every name may be given once")
            rows[provider.name] = provider
        self._rows: Final = rows

    def with_provider(self, *providers: Provider) -> Providers:
        """These and more, as a new value. Raises ConfigurationError."""
        return Providers(*(row for row in self if not row.is_built_in), *providers)

    def find(self, name: str) -> Provider | None:
        """The provider of a name, whatever its case."""
        return self._rows.get(name.lower())

    @property
    def names(self) -> tuple[str, ...]:
        """The names, sorted."""
        return tuple(sorted(self._rows))

    def __iter__(self) -> Iterator[Provider]:
        return iter(self._rows.values())

    def __repr__(self) -> str:
        return f"Providers({', '.join(self.names)})"


PROVIDERS: Final = Providers()
"""The built-in providers alone: what a client knows that was given no others."""


@dataclass(frozen=True, slots=True)
class RetiredModel:
    """A model that is out of service: since when (None where the day is not stated), what to use, where it says so."""

    name: str
    successor: str
    retired_on: date | None
    source: str

    @property
    def advice(self) -> str:
        """One sentence for a warning."""
        since = "" if self.retired_on is None else f" on {self.retired_on.isoformat()}"
        return f"model {self.name} was retired{since}: use {self.successor}"


MAY_15: Final = date(2026, 5, 15)
MIGRATION: Final = "docs.x.ai/developers/migration/may-15-retirement.md"
RETIRED_MODELS: Final = (
    RetiredModel("grok-4-1-fast-reasoning", "grok-4.3", MAY_15, MIGRATION),
    RetiredModel("grok-4-1-fast-non-reasoning", "grok-4.20-non-reasoning", MAY_15, MIGRATION),
    RetiredModel("grok-4-fast-reasoning", "grok-4.3", MAY_15, MIGRATION),
    RetiredModel("grok-4-fast-non-reasoning", "grok-4.20-non-reasoning", MAY_15, MIGRATION),
    RetiredModel("grok-4-0709", "grok-4.3", MAY_15, MIGRATION),
    RetiredModel("grok-code-fast-1", "grok-4.3", MAY_15, MIGRATION),
    RetiredModel("grok-3", "grok-4.3", MAY_15, MIGRATION),
    RetiredModel("grok-3-mini", "grok-4.3", None, "docs.x.ai reasoning guide"),
    RetiredModel("grok-beta", "grok-4.3", None, "docs.x.ai model list"),
)
"""Chat models out of service. Some names were served on for a while, by another model."""
RETIRED_FAMILY: Final = re.compile(r"grok-2(?:[-.].*)?")


def retired_model(name: str) -> RetiredModel | None:
    """The row of a model of xAI that is out of service, whatever the case of its name; None for any other."""
    lowered = name.lower()
    found = next((row for row in RETIRED_MODELS if row.name == lowered), None)
    if found is None and RETIRED_FAMILY.fullmatch(lowered):
        return RetiredModel(lowered, "grok-4.3", None, "docs.x.ai model list")
    return found


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A model and who serves it: `ModelRef.parse("grok.grok-4.6")`, or a bare id, which is one of xAI's.

    `provider` is the name in lower case, `name` the model's id as it goes out. `problem` says what is wrong with a
    reference that `read` could not understand; of `parse` it is None.
    """

    provider: str
    name: str
    problem: str | None = None

    @property
    def is_valid(self) -> bool:
        """True when it names a known provider and a model."""
        return self.problem is None

    @property
    def retired(self) -> RetiredModel | None:
        """The row of the retired model that it names."""
        return retired_model(self.name) if self.provider in BUILT_IN else None

    def __str__(self) -> str:
        return f"{self.provider}.{self.name}"

    @classmethod
    def parse(cls, text: str, providers: Providers = PROVIDERS, *, stacklevel: int = 2) -> Self:
        """The reference that a text is.

        What stands before the first dot counts as a provider only where it is the name of one: `grok-4.6` is a bare
        id. A word of letters alone before a dot that names none is an unknown provider. A retired model of xAI warns
        with RetiredModelWarning, `stacklevel` frames up.

        Raises ConfigurationError for an unknown provider, an empty name, and a text that is no reference.
        """
        ref = cls.read(text, providers)
        if ref.problem is not None:
            raise ConfigurationError(ref.problem)
        if ref.retired is not None:
            warnings.warn(ref.retired.advice, RetiredModelWarning, stacklevel=stacklevel)
        return ref

    @classmethod
    def read(cls, text: str, providers: Providers = PROVIDERS) -> Self:
        """As `parse`, but what is wrong is told in `problem`, and nothing warns: for forms and stored records."""
        if not isinstance(text, str):
            return cls("", "", f"a model is a {type(text).__name__}; text such as grok.grok-4.6 is allowed")
        shown = repr(text[:MAX_CHARACTERS])
        if not text.strip():
            return cls("", "", "a model is empty; text such as grok.grok-4.6 is allowed")
        if len(text) > MAX_CHARACTERS or REFERENCE.fullmatch(text) is None:
            allowed = f"at most {MAX_CHARACTERS} characters of printable ASCII without white space are allowed"
            return cls("", "", f"the model {shown} is malformed; {allowed}")
        if providers.find(text) is not None:
            return cls(text.lower(), "", f"{shown} names a provider and no model; write {text}.<model>")
        head, dot, rest = text.partition(".")
        if not dot:
            return cls(OWN, text)
        known = providers.find(head)
        if known is None and PROVIDER_WORD.fullmatch(head):
            listed = ", ".join(providers.names)
            return cls(head.lower(), rest, f"provider {head!r} is not known; known are {listed}; {HOW_TO_REGISTER}")
        provider, name = (OWN, text) if known is None else (known.name, rest)
        if not name:
            return cls(provider, "", f"the model {shown} names provider {provider} and no model")
        if name.startswith(".") or name.endswith("."):
            return cls(provider, name, f"the model {shown} is malformed: a name does not begin or end with a dot")
        return cls(provider, name)


def provider_key(provider: Provider, address: Address) -> str | None:
    """The key in the provider's own variable, None when it is unset, or when `address` is not the provider's.

    Raises ConfigurationError, not showing it, for one that is malformed.
    """
    if provider.key_variable is None or address.origin != Address(provider.base_url).origin:
        return None
    try:
        return Key(os.environ.get(provider.key_variable)).value
    except ConfigurationError:
        raise ConfigurationError(
            f"{provider.key_variable} is malformed: a key is printable ASCII without white space (it is not shown)"
        ) from None
