"""Schedules that Kubernetes and KEDA take, and such as they do not."""

from __future__ import annotations

from typing import Final

TAKEN: Final = (
    "0 8 * * 1-5",
    "*/15 * * * *",
    "5/20 * * * *",
    "0 0 1,15 * *",
    "0 0 ? * sun",
    "30 2 * JAN-mar Mon,WED,fri",
    "0 22-23,0-5 * * *",
    "0 0 29 2 *",
    "0  8 * *  1-5",
    "*/90 * * * *",
    "00 08 01 01 0",
)
REFUSED: Final[dict[str, str]] = {
    "30 2 * * 7": "the days of the week are 0 to 6, got 7; write 0 or sun",
    "30 2 * * 5-1": "ranges ascend, got '5-1' for the day of the week; write 5-6,0-1",
    "0 22-5 * * *": "ranges ascend, got '22-5' for the hour; write 22-23,0-5",
    "0 0 * * fri-mon": "ranges ascend, got 'fri-mon' for the day of the week",
    "0 24 * * *": "the hour is 0 to 23, got '24'",
    "60 0 * * *": "the minute is 0 to 59, got '60'",
    "0 0 0 * *": "the day of the month is 1 to 31, got '0'",
    "0 0 * 13 *": "the month is 1 to 12, got '13'",
    "0 0 * * monday": "the day of the week is 0 to 6, got 'monday'",
    "*/0 * * * *": "a step is 1 or more",
    "0 0 * *": "five cron fields",
    "0 0 0 * * *": "five cron fields",
    "1-2-3 * * * *": "the minute is *, 5, 1-5 or */15, got '1-2-3'",
    "-1 * * * *": "the minute is *, 5, 1-5 or */15, got '-1'",
}
"""With what is said of each."""
