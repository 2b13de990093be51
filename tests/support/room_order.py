"""The rooms of the package, each of which may use those before it."""

ORDER = ["errors", "io", "notices", "chat", "stats", "figures", "arch", "assets", "theory", "mup"]
ORDER += ["cut", "prune", "evaluate", "measure", "runs", "tinynet", "study", "findings", "report"]
ORDER += ["experiments", "cli"]
