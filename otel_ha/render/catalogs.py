"""NamedCatalog: a catalog together with the names that Python code uses for its instruments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from types import ModuleType
from typing import Final, Self

from otel_ha.declare.catalog import Catalog
from otel_ha.declare.instruments import Instrument
from otel_ha.declare.operation import Operation
from otel_ha.declare.ports import shown
from otel_ha.errors import CatalogError
from otel_ha.vocabulary import ha_ingestor, ingest, messaging, runtime

__all__ = ["NamedCatalog", "file_name", "own_catalogs", "service_catalogs", "united"]

_NOTHING: Final = object()


@dataclass(frozen=True, slots=True)
class NamedCatalog:
    """A catalog, the module that declares it, and that module's instruments and operations by their Python names."""

    module: str
    name: str
    about: str
    catalog: Catalog
    instruments: Mapping[Instrument, str]
    operations: Mapping[str, Operation]

    @classmethod
    def of(cls, module: ModuleType, name: str = "CATALOG") -> Self:
        """Return the catalog that a module has by this name. Raises CatalogError if that is not a catalog."""
        catalog = _member(module, name)
        if not isinstance(catalog, Catalog):
            found = "does not exist" if catalog is _NOTHING else f"is not a Catalog but {shown(catalog)}"
            others = [key for key, value in vars(module).items() if isinstance(value, Catalog)]
            remedy = f"the module's catalogs: {', '.join(others)}" if others else "write MODULE:NAME of a Catalog"
            raise CatalogError(f"{module.__name__}:{name} {found}; {remedy}")
        short = module.__name__.rpartition(".")[2]
        members = {f"{short}.{key}": value for key, value in vars(module).items()}
        return cls(
            module=module.__name__,
            name=name,
            about=_first_paragraph(module.__doc__),
            catalog=catalog,
            instruments={value: key for key, value in members.items() if isinstance(value, Instrument)},
            operations={key: value for key, value in members.items() if isinstance(value, Operation)},
        )

    def operations_with(self, instrument: Instrument) -> list[str]:
        """Return the Python names of the operations that record to an instrument."""
        return [name for name, operation in self.operations.items() if instrument in operation.instruments]


def own_catalogs() -> list[NamedCatalog]:
    """Return the catalogs of this package: that of a service, and those that are added to every other."""
    return [NamedCatalog.of(module) for module in (ingest, messaging, runtime, ha_ingestor)]


def service_catalogs() -> list[NamedCatalog]:
    """Return the catalogs of a service without the earlier API, whose names have rules of their own."""
    return [NamedCatalog.of(module) for module in (ingest, messaging, runtime)]


def united(catalogs: Iterable[NamedCatalog]) -> Catalog:
    """Return a catalog of the instruments, objectives and renames of all. Raises CatalogError if two of them clash."""
    sources = list(catalogs)
    try:
        return reduce(or_, (named.catalog for named in sources), Catalog())
    except CatalogError as error:
        modules = " and ".join(f"{named.module}:{named.name}" for named in sources)
        raise CatalogError(f"cannot unite {modules}: {error}") from error


def file_name(catalogs: Sequence[NamedCatalog], ending: str) -> str:
    """Return the name of a rendered file.

    One with the ingest vocabulary takes the place of ours; one without stands beside it, named after its module.
    """
    ours = ingest.RECEIVED in united(catalogs)
    return f"{'otel_ha' if ours else catalogs[0].module.replace('.', '_')}.{ending}"


def _member(module: ModuleType, name: str) -> object:
    try:
        return getattr(module, name, _NOTHING)
    except (Exception, SystemExit) as error:  # a module may have a __getattr__ of its own, which raises anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise CatalogError(f"cannot read {module.__name__}:{name}: {reason}; --catalog names a Catalog") from error


def _first_paragraph(text: object) -> str:
    if not isinstance(text, str):
        return ""
    return " ".join(text.strip().partition("\n\n")[0].split())
