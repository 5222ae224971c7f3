"""How the streams are: what is measured, what it means, and how it is shown."""
