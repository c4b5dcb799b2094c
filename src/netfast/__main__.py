"""`python -m netfast` is the command `netfast`."""

from .cli import command

if __name__ == "__main__":
    command()
