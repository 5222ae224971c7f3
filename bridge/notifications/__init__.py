"""Messages to people about what goes wrong."""
