"""What every API call shares: reading the body, checking fields, the envelope, errors, the view's base class."""
