"""`python -m widthwise`."""

from .cli import main

if __name__ == "__main__":
    main()
