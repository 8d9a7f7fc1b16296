"""Submit a report with the client library, wait for it, and say how it came to be.

python examples/submit.py 3         beside `custody up` and examples/worker.py
"""

# ruff: noqa: INP001, T201 - a script; it prints to its user

import asyncio
import sys

from custody_client import AddressError, Client


async def main(pages: int) -> None:
    """Submit one report and wait for it."""
    async with Client() as client:
        task = await client.submit("report", {"pages": pages}, title=f"A report of {pages} pages")
        print(await task.result(timeout_s=60))
        for line in (await task.explain()).why:
            print(line)


if __name__ == "__main__":
    try:
        asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
    except AddressError as error:
        sys.exit(str(error))
