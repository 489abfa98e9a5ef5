"""Tests of a sandbox of both regions, which is brought up once."""
