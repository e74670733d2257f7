"""``python -m babyhubert``: the command, also where the folder of scripts is not on the path."""

from babyhubert.cli.app import main

if __name__ == "__main__":
    main()
