"""Writes the golden files anew: `make golden`; its diff is what a reviewer reads first."""

from __future__ import annotations

from tests.golden.reviews import reviews
from tests.golden.texts import HERE, texts


def main() -> None:
    wanted = texts() | reviews()
    for path in sorted([*HERE.glob("plan/*"), *HERE.glob("objects/*/*"), *HERE.glob("review/*")]):
        if path.relative_to(HERE).as_posix() not in wanted:
            path.unlink()
    for name, text in wanted.items():
        path = HERE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    print(f"golden  {len(wanted)} files, {sum(map(len, wanted.values())) // 1000} kB")


if __name__ == "__main__":
    main()
