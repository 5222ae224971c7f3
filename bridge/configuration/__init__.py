"""What in an app's settings, or on its servers, would break long jobs."""
