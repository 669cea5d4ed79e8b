"""``python -m cluster`` is the command ``tollgate``, for places where the script is not on the path."""

from cluster.cli import app

if __name__ == "__main__":
    app()
