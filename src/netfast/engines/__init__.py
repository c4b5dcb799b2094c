"""The kernels on someone else's engine: adapters to Polars, pandas, PyArrow, DuckDB and Spark.

Nothing here is imported by `import netfast`; each module is imported by its name, such as `netfast.engines.pandas`, and
needs the engine it is named after.  Everywhere the methods have the same names and the same meaning.
"""

from importlib import import_module

from netfast import PrefixSet, PrefixTable

# The columns of `netfast.Classification` that are true or false.
FLAGS = (
    "is_private",
    "is_shared",
    "is_loopback",
    "is_link_local",
    "is_multicast",
    "is_broadcast",
    "is_unspecified",
    "is_documentation",
    "is_reserved",
    "is_global",
)


def needs(package: str, extra: str) -> None:
    """Import the package that an adapter is for.

    Args:
        package: what to import.
        extra: the extra of netfast that installs it, which is also the adapter's name.

    Raises:
        ImportError: it is not installed; the message names the extra.

    Example:
        >>> needs("pyarrows", "arrow")
        Traceback (most recent call last):
        ImportError: netfast.engines.arrow needs pyarrows: pip install 'netfast[arrow]'
    """
    try:
        import_module(package)
    except ModuleNotFoundError as missing:
        if missing.name != package:  # it is installed, but lacks something of its own
            raise
        message = f"netfast.engines.{extra} needs {package}: pip install 'netfast[{extra}]'"
        raise ImportError(message, name=package) from None


def needs_table(table: object) -> None:
    """Check what an adapter is to look up in.

    Raises:
        TypeError: it is no `netfast.PrefixTable`.

    Example:
        >>> needs_table(["10.0.0.0/8"])
        Traceback (most recent call last):
        TypeError: table is list; wanted a PrefixTable
    """
    if not isinstance(table, PrefixTable):
        raise TypeError(f"table is {type(table).__name__}; wanted a PrefixTable")


def needs_prefixes(prefixes: object) -> None:
    """Check what an adapter is to ask for membership.

    Raises:
        TypeError: it is neither a `netfast.PrefixSet` nor a `netfast.PrefixTable`.

    Example:
        >>> needs_prefixes(["10.0.0.0/8"])
        Traceback (most recent call last):
        TypeError: prefixes is list; wanted a PrefixSet or a PrefixTable
    """
    if not isinstance(prefixes, (PrefixSet, PrefixTable)):
        raise TypeError(f"prefixes is {type(prefixes).__name__}; wanted a PrefixSet or a PrefixTable")
