"""Do the metrics measure what they claim? They are held against rendered pairs whose truth is known."""
