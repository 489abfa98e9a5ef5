"""Tests of one region's API server that holds everything, with the guard in force."""
