"""The kernels on someone else's engine: adapters to Polars, pandas, PyArrow, DuckDB and Spark.

Nothing here is imported by `import netfast`; each module is imported by its name, such as `netfast.engines.pandas`, and
needs the engine it is named after.  Everywhere the methods have the same names and the same meaning.
"""

from importlib import import_module

from netfast import Classification, PrefixSet, PrefixTable

# The columns of `netfast.Classification` that are true or false, each with an address of which it is true.
FLAGS = {
    "is_private": "10.0.0.1",
    "is_shared": "100.64.0.1",
    "is_loopback": "127.0.0.1",
    "is_link_local": "169.254.0.1",
    "is_multicast": "224.0.0.1",
    "is_broadcast": "255.255.255.255",
    "is_unspecified": "0.0.0.0",
    "is_documentation": "192.0.2.1",
    "is_reserved": "240.0.0.1",
    "is_global": "8.8.8.8",
}


def flag_doc(flag: str, type: str, imports: str, call: str) -> str:
    """The docstring of a function for one of FLAGS: what `netfast.Classification` says of it, and an example.

    Args:
        flag: its name.
        type: what the engine calls the type of the result.
        imports: what the example imports.
        call: what it calls, with {flag} and with {rows}, of which the first is an address and the second none.

    Example:
        >>> doc = flag_doc("is_loopback", "bool", "netfast as nf", "nf.classify({rows}).{flag}.tolist()")
        >>> doc.splitlines()[0]
        'bool: 127.0.0.0/8 or ::1.'
        >>> doc.splitlines()[-2:]
        ['    >>> nf.classify(["127.0.0.1", "bad"]).is_loopback.tolist()', '    [True, False]']
    """
    what = (getattr(Classification, flag).__doc__ or "").partition(": ")[2]  # none with Python's -OO
    code = call.format(flag=flag, rows=f'["{FLAGS[flag]}", "bad"]')
    return f"{type}: {what}\n\nExample:\n    >>> import {imports}\n    >>> {code}\n    [True, False]"


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
