"""`python -m predspace_widgets` is the `predspace` command."""

from predspace_widgets.cli import main

if __name__ == "__main__":
    main()
