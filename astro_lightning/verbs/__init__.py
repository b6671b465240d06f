"""One file a verb: `main(words)`, whose docstring's first line is its help. Heavy imports belong inside `main`."""
