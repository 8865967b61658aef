"""Shared by all API views: reading the body, validating fields, the envelope, errors, the base view."""
