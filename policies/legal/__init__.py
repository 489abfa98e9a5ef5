"""What isoserve makes of specs and profiles, field by field: whatever else there is, is refused."""
