"""The rooms of the package, each of which may use those before it."""

ORDER = ["errors", "io", "notices", "chat", "stats", "figures", "arch", "assets", "theory", "mup"]
ORDER += ["cut", "runs", "prune", "evaluate", "measure", "tinynet", "study", "findings", "report"]
ORDER += ["shrink", "experiments", "cli"]
