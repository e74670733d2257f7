"""``python -m babyhubert``: the command, even if the folder of scripts is not on the path."""

from babyhubert.cli.app import main

if __name__ == "__main__":
    main()
