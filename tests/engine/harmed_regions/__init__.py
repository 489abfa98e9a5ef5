"""Tests of one region, sandbox-onprem, under load and under faults; it is brought up once."""
