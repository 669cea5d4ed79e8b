"""The API key that commands send to a service which asks for one."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from features.errors import InvalidKeys

KEY: Final = "TOLLGATE_API_KEY"
KEY_FILE: Final = "TOLLGATE_API_KEY_FILE"


def key_headers(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the headers of a request with the key of the environment; none where there is no key.

    Args:
        environment: ``TOLLGATE_API_KEY`` is the key, or ``TOLLGATE_API_KEY_FILE`` names a file with it. There is
            no option for it, as everybody on a machine can read command lines.

    Raises:
        InvalidKeys: the file cannot be read.
    """
    key = environment.get(KEY, "")
    if not key and (file := environment.get(KEY_FILE)):
        try:
            key = Path(file).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidKeys(f"{KEY_FILE} names {file}, which cannot be read: {error}") from error
    return {"authorization": f"Bearer {key}"} if key else {}
