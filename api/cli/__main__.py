"""`python -m api.cli`: the `darkroom` command."""

from api.cli.commands import main

if __name__ == "__main__":
    main()
