"""`python -m fissura.cli`."""

from fissura.cli import main

if __name__ == "__main__":
    main()
